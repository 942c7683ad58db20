"""A trainer of your own, run as a command: real ones of a line or two."""

import re
import sys
import time
from pathlib import Path

import pytest

from olmix_core.errors import TrainingError
from olmix_core.proxies.mixture_description import MixtureDescription
from olmix_core.workers.command import run_command

MIXTURE = MixtureDescription("first-003", {"code": 0.25, "prose": 0.75}, 1000, 0, {}, ())


def python(tmp_path: Path, text: str) -> str:
    """A command that runs this text, its arguments the two files."""
    script = tmp_path / "train it.py"
    script.write_text(f"import json, pathlib, sys\nconfig, metrics = map(pathlib.Path, sys.argv[1:])\n{text}\n")
    return f"'{sys.executable}' '{script}' {{config}} {{metrics}}"


def test_a_command_reads_the_mixture_and_returns_metrics(tmp_path: Path) -> None:
    command = python(
        tmp_path,
        "w = json.loads(config.read_text())['weights']; print('noise')\n"
        "metrics.write_text(json.dumps({'bpb of code': 2 - w['code'], 'prose': 1}))",
    )
    assert run_command(command, MIXTURE, 1.0) == {"bpb of code": 1.75, "prose": 1.0}


BAD = {
    "print('out of quota'); sys.exit(3)": "for first-003 ended with status 3: out of quota",
    "print('did nothing')": "for first-003 left no metrics",
    "metrics.write_text('x')": "for first-003 left no metrics",
    "metrics.write_text('[1]')": "left metrics of another form; expected {",
    "metrics.write_text('{}')": "left metrics of another form",
    "metrics.write_text('{\"a\": NaN}')": "metric 'a': found nan; expected {",
    "metrics.write_text('{\"a\": -1}')": "metric 'a': found -1; expected {",
    'metrics.write_text(\'{"a": "1"}\')': "metric 'a': found '1'; expected {",
    "metrics.write_text('{\"a\": true}')": "metric 'a': found True; expected {",
}


@pytest.mark.parametrize("text", BAD)
def test_errors_name_the_run(text: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=re.escape(BAD[text])):
        run_command(python(tmp_path, text), MIXTURE, 1.0)


def test_a_timeout_ends_a_command_and_its_children(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(TrainingError, match=r"stopped after 0\.0003 hours; .*execution\.timeout_hours"):
        run_command(f"(sleep 60; touch {tmp_path}/late) | cat", MIXTURE, 0.0003)
    assert time.monotonic() - started < 30
