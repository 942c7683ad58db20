"""A store that the last release wrote: it is read, a run on it executes nothing, and nothing is published again."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from olmix_core.mixes.audit import check
from olmix_core.mixes.loading import load
from olmix_core.mixes.record import parse_record
from olmix_core.storage.store import Store

STORE = Path(__file__).parents[1] / "stores/0.1.0.tar.xz"

Run = Callable[[Path], tuple[dict[str, Any], dict[str, int]]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """mix.yaml, data/ and store/ of the last release, as the working directory."""
    with tarfile.open(STORE) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_executes_nothing_and_keeps_the_version(run: Run, folder: Path) -> None:
    record, executed = run(folder / "mix.yaml")
    assert executed == {"publish": 1}
    assert record["version"] == "v0002"
    assert Store("store").list("mixes/small") == ["latest.json", "v0001", "v0002"]


def test_records_keep_every_key(folder: Path) -> None:
    for version in ("v0001", "v0002"):
        value = json.loads((folder / f"store/mixes/small/{version}/mix.json").read_text())
        del value["sha256"]
        assert parse_record(value, version).to_json() == {"format_version": 2, **value}


def test_a_mix_proposes_what_it_published(folder: Path) -> None:
    mix = load("store", "small")
    assert mix.propose() == pytest.approx(mix.record.weights, abs=1e-6)
    assert mix.predict().objective.bpb == pytest.approx(mix.record.predicted["proposed"].bpb, abs=1e-9)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["show", "small", "--store", "store"], "small v0002"),
        (["history", "small", "--store", "store"], "1 revised"),
        (["diff", "v0001", "v0002", "--store", "store"], "only in b"),
        (["why", "mix.yaml"], "small v0002 ran this"),
        (["trade-offs", "small", "--store", "store"], "epochs at most"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_commands_read_it(folder: Path, command: list[str], words: str) -> None:
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert words in result.output


def test_it_is_whole(folder: Path) -> None:
    assert check(Store("store")) == []
