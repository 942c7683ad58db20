"""What commands print with --json, and the schemas of docs/schemas."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from flows.cli.app import app

SCHEMAS = Path(__file__).parents[2] / "docs/schemas"


def printed(*words: object) -> Any:
    """The JSON that a command prints; it must end well."""
    result = CliRunner().invoke(app, [*map(str, words), "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def validate(command: str, output: Any) -> None:
    """Check JSON against the schema of a command."""
    schema = json.loads((SCHEMAS / f"{command}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(output)
