"""`--json`: what every command prints is what its schema in docs/schemas says, and no more."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from flows.cli.app import app
from tests.support.json_output import SCHEMAS, printed, validate

Run = Callable[[Path], tuple[dict[str, Any], dict[str, int]]]


def test_every_command_with_json_has_a_schema_and_no_other() -> None:
    commands: dict[str, Any] = dict(getattr(typer.main.get_command(app), "commands"))  # noqa: B009 - as in test_docs
    with_json = {name for name, one in commands.items() if any("--json" in p.opts for p in one.params)}
    assert {path.stem for path in SCHEMAS.glob("*.json")} == with_json


def test_what_is_printed_is_what_the_schemas_say(
    finished: Callable[..., Callable[..., Path]], run: Run, tmp_path: Path
) -> None:
    edit = finished(name="told")
    store = tmp_path / "store"

    def change(config: dict[str, Any]) -> None:
        config["domains"] = [domain for domain in config["domains"] if domain["name"] != "guide"]
        config["domains"].append({"name": "essays", "paths": "guide.jsonl"})
        config["domains"] = [domain for domain in config["domains"] if domain["name"] != "manual"]
        config["evaluation"] = {"tasks": [{"heldout": "code"}, {"file": "task.jsonl", "weight": 2.0}]}

    config = edit(change)
    before = {command: printed(command, config) for command in ("plan", "why")}
    assert before["plan"]["pending"]
    assert before["why"]["would_run"]
    run(config)
    after = {
        "show": printed("show", config),
        "trade-offs": printed("trade-offs", config),
        "plan": printed("plan", config),
        "why": printed("why", config),
        "history": printed("history", config),
        "diff": printed("diff", "told@v0001", "told@v0002", "--store", store),
        "predict": printed("predict", config),
    }
    assert not after["plan"]["pending"]
    assert len(after["history"]) == 2
    for outputs in (before, after):
        for command, output in outputs.items():
            validate(command, output)
    assert after["show"]["predicted"]["proposed"] == pytest.approx(after["predict"]["objective"])


def test_a_folder_of_olmix_fit(fitted: Path) -> None:
    validate("predict", printed("predict", fitted))
