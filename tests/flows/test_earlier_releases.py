"""A store that an earlier release wrote is read: what gives the same result since is not computed again, and
every command shows it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from olmix_core.mixes.loading import load
from olmix_core.mixes.record import parse_record
from tests.support.json_output import printed, validate
from tests.support.releases import RELEASES, unpack

Run = Callable[[Path], tuple[dict[str, Any], dict[str, int]]]
# Steps that are new, or whose code_version was raised, since; propose follows fit.
AGAIN = {"overlap": 1, "plan": 1, "fit": 1, "propose": 1}


@pytest.fixture(params=RELEASES)
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of an earlier release, as the working directory."""
    unpack(request.param, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_executes_new_and_raised_steps_alone_and_trains_nothing(run_flow: Run, folder: Path) -> None:
    before = contents(folder / "store" / "mixes")
    del before["small/latest.json"]
    _, executed = run_flow(Path("mix.yaml"))
    assert executed == {**AGAIN, "publish": 1}
    assert run_flow(Path("mix.yaml"))[1] == {"publish": 1}
    after = contents(folder / "store" / "mixes")
    assert {path: after[path] for path in before} == before
    added = {path for path in after.keys() - before.keys() if not path.endswith("report.html")}
    assert {path.split("/")[1] for path in added} == {"latest.json", "v0003"}


@pytest.mark.usefixtures("folder")
def test_json_of_commands_is_what_the_schemas_say() -> None:
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
    executed = {name: step["executed"] for name, step in outputs["plan"]["steps"].items() if step["executed"]}
    assert executed == {**AGAIN, "publish": 1}
    causes = {(reason["step"], reason["cause"]) for reason in outputs["why"]["reasons"]}
    assert causes == {("overlap", "FIRST"), ("plan", "CODE"), ("fit", "CODE"), ("propose", "UPSTREAM")}
    assert [version["version"] for version in outputs["history"]] == ["v0001", "v0002"]
    assert outputs["show"]["predicted"]["proposed"] == pytest.approx(outputs["predict"]["objective"])


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["show", "small", "--store", "store"], "small v0002"),
        (["history", "small", "--store", "store"], "1 revised"),
        (["diff", "v0001", "v0002", "--store", "store"], "only in b"),
        (["why", "mix.yaml"], "overlap: never run before"),
        (["why", "mix.yaml"], "CODE code_version: 2 -> 3"),
        (["trade-offs", "small", "--store", "store"], "epochs at most"),
        (["store", "check", "--store", "store"], "is whole"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
@pytest.mark.usefixtures("folder")
def test_commands_print_it(command: list[str], words: str) -> None:
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert words in result.output


def test_records_keep_every_key(folder: Path) -> None:
    for version in ("v0001", "v0002"):
        record = json.loads((folder / f"store/mixes/small/{version}/mix.json").read_text())
        del record["sha256"]
        assert parse_record(record, version).to_json() == {"format_version": 2, "kind": "mix", **record}


@pytest.mark.usefixtures("folder")
def test_a_mix_proposes_what_it_published() -> None:
    mix = load("store", "small")
    assert mix.propose() == pytest.approx(mix.record.weights, abs=1e-6)
    assert mix.predict().objective.bpb == pytest.approx(mix.record.predicted["proposed"].bpb, abs=1e-9)
