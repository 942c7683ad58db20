"""A store that an earlier release wrote is read: nothing in it is computed again, and every command shows it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from tests.support.json_output import printed, validate
from tests.support.releases import RELEASES, unpack

Run = Callable[[Path], tuple[dict[str, Any], dict[str, int]]]


@pytest.fixture(params=RELEASES)
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of an earlier release, as the working directory."""
    unpack(request.param, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_executes_nothing_and_publishes_no_version(run_flow: Run, folder: Path) -> None:
    before = contents(folder / "store" / "mixes")
    _, executed = run_flow(Path("mix.yaml"))
    assert executed == {"publish": 1}
    after = contents(folder / "store" / "mixes")
    assert {path: after[path] for path in before} == before
    assert {path.split("/")[-1] for path in after.keys() - before.keys()} <= {"report.html"}


def test_commands_show_it(folder: Path) -> None:
    outputs = {
        "show": printed("show", "mix.yaml"),
        "trade-offs": printed("trade-offs", "mix.yaml"),
        "plan": printed("plan", "mix.yaml"),
        "why": printed("why", "mix.yaml"),
        "history": printed("history", "mix.yaml"),
        "diff": printed("diff", "small@v0001", "small@v0002", "--store", "store"),
        "predict": printed("predict", "mix.yaml"),
    }
    for command, output in outputs.items():
        validate(command, output)
    assert not outputs["plan"]["pending"]
    assert not outputs["why"]["would_run"]
    assert [version["version"] for version in outputs["history"]] == ["v0001", "v0002"]
    assert outputs["show"]["predicted"]["proposed"] == pytest.approx(outputs["predict"]["objective"])
    for words in (["show"], ["history"], ["diff", "small@v0001", "small@v0002"], ["store", "check"]):
        result = CliRunner().invoke(app, [*words, "--store", "store"])
        assert result.exit_code == 0, result.output
