"""A trainer of your own as a command: it is given a mixture as a JSON file, and leaves its metrics as another.

The command is a line for the shell, in which {config} and {metrics} stand for the two files. What it writes to
{metrics} is {name: bits per byte}. What it prints is kept for the error, where it fails.
"""

import json
import math
import os
import shlex
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from olmix_core.errors import TrainingError
from olmix_core.workers.cancellation import ended_with_run

LAST_WORDS = 2000  # characters of output told in an error


def run_command(command: str, mixture: dict[str, Any], hours: float) -> dict[str, float]:
    """Train and measure one mixture (`swarmfiles.as_json`) by `command`; its metrics.

    Raises:
        TrainingError: it failed, took longer than `hours`, or left no metrics.
    """
    with tempfile.TemporaryDirectory(prefix="olmix-") as folder:
        config, metrics = Path(folder) / "mixture.json", Path(folder) / "metrics.json"
        config.write_text(json.dumps(mixture, indent=1) + "\n", encoding="utf-8")
        line = command.replace("{config}", shlex.quote(str(config))).replace("{metrics}", shlex.quote(str(metrics)))
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        # A session of its own, so that all it started can be ended with it.
        process = subprocess.Popen(line, shell=True, errors="replace", start_new_session=True, **pipes)

        def end() -> None:
            os.killpg(process.pid, signal.SIGKILL)

        try:
            with ended_with_run(end):
                printed, _ = process.communicate(timeout=hours * 3600)
        except subprocess.TimeoutExpired as error:
            end()
            process.communicate()
            raise TrainingError(
                f"execution.command for {mixture['name']} was stopped after {hours:g} hours; expected it to end"
                " by then: raise execution.timeout_hours"
            ) from error
        words = printed.strip()[-LAST_WORDS:] or "it said nothing"
        if process.returncode:
            raise TrainingError(
                f"execution.command for {mixture['name']} ended with status {process.returncode}: {words}"
            )
        return _read(metrics, mixture["name"], words)


def _read(metrics: Path, name: str, words: str) -> dict[str, float]:
    expected = 'expected {"name": bits per byte, ...} in the file that {metrics} names'
    try:
        found = json.loads(metrics.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"execution.command for {name} left no metrics ({error}); {expected}: {words}") from error
    if not isinstance(found, dict) or not found:
        raise TrainingError(f"execution.command for {name} left metrics of another form; {expected}")
    for metric, value in found.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
            raise TrainingError(f"execution.command for {name}: metric {metric!r}: found {value!r}; {expected}")
    return {metric: float(value) for metric, value in found.items()}
