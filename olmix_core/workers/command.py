"""Train a proxy by a command of the user: it reads a mixture from one JSON file and writes its metrics to another.

The command is a line for the shell, in which {config} and {metrics} stand for the two files. It writes
{name: bits per byte} to {metrics}. Its output is quoted in the error where it fails.
"""

import json
import math
import os
import shlex
import signal
import subprocess
import tempfile
from pathlib import Path

from olmix_core.errors import TrainingError
from olmix_core.proxies.mixture_description import MixtureDescription
from olmix_core.workers.cancellation import ended_with_run

_OUTPUT = 2000  # characters of output quoted in an error


def run_command(command: str, mixture: MixtureDescription, hours: float) -> dict[str, float]:
    """Train and measure one mixture by a command.

    Args:
        command: A line for the shell, with {config} and {metrics}.
        mixture: The mixture, written to {config}.
        hours: Time after which the command is stopped.

    Returns:
        The metrics, {name: bits per byte}.

    Raises:
        TrainingError: If the command fails, takes longer than `hours`, or leaves no metrics.
    """
    with tempfile.TemporaryDirectory(prefix="olmix-") as folder:
        config, metrics = Path(folder) / "mixture.json", Path(folder) / "metrics.json"
        config.write_text(json.dumps(mixture.to_json(), indent=1) + "\n", encoding="utf-8")
        line = command.replace("{config}", shlex.quote(str(config))).replace("{metrics}", shlex.quote(str(metrics)))
        # A new session, so that its children can be ended with it.
        process = subprocess.Popen(
            line,
            shell=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

        def end() -> None:
            os.killpg(process.pid, signal.SIGKILL)

        try:
            with ended_with_run(end):
                printed, _ = process.communicate(timeout=hours * 3600)
        except subprocess.TimeoutExpired as error:
            end()
            process.communicate()
            raise TrainingError(
                f"execution.command for {mixture.name} was stopped after {hours:g} hours; expected it to end"
                " by then: raise execution.timeout_hours"
            ) from error
        output = printed.strip()[-_OUTPUT:] or "it wrote nothing"
        if process.returncode:
            raise TrainingError(
                f"execution.command for {mixture.name} ended with status {process.returncode}: {output}"
            )
        return _read(metrics, mixture.name, output)


def _read(metrics: Path, name: str, output: str) -> dict[str, float]:
    """The metrics that a command left for the mixture `name`."""
    expected = 'expected {"name": bits per byte, ...} in the file that {metrics} names'
    try:
        content = json.loads(metrics.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"execution.command for {name} left no metrics ({error}); {expected}: {output}") from error
    if not isinstance(content, dict) or not content:
        raise TrainingError(f"execution.command for {name} left metrics of another form; {expected}")
    for metric, value in content.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
            raise TrainingError(f"execution.command for {name}: metric {metric!r}: found {value!r}; {expected}")
    return {metric: float(value) for metric, value in content.items()}
