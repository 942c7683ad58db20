"""The command line as a user has it: processes of their own, Prefect's ephemeral server and a real one."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

OLMIX = str(Path(sys.executable).with_name("olmix"))


def olmix(*words: object, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [OLMIX, *map(str, words)], env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def test_run_again_show_and_plan(project: Callable[..., Path], environment: dict[str, str], tmp_path: Path) -> None:
    config = project()
    assert olmix("plan", config, "--detailed-exitcode", environment=environment).returncode == 2
    first = olmix("run", config, environment=environment)
    assert first.returncode == 0, first.stderr
    assert "train 6" in first.stdout
    assert re.search(r"natural +\d\.\d{4}", first.stdout)
    assert str(tmp_path / "store/mixes/test/v0001") in first.stdout.replace("\n", "")

    second = olmix("run", config, environment=environment)
    assert second.returncode == 0, second.stderr
    assert "everything was cached" in second.stdout
    assert "nothing trained, nothing evaluated" in second.stdout
    # Prefect's own words do not bury ours.
    assert "prefect" not in (second.stdout + second.stderr).lower().replace("starting prefect", "")

    shown = olmix("show", config, environment=environment)
    assert "code" in shown.stdout
    assert "gain over natural" in shown.stdout
    assert olmix("plan", config, "--detailed-exitcode", environment=environment).returncode == 0
    history = json.loads(olmix("history", config, "--json", environment=environment).stdout)
    assert [row["proxies"] for row in history] == [6]


def long_project(project: Callable[..., Path]) -> Path:
    """A project whose proxies take some seconds each."""
    recipe = {"layers": 2, "width": 64, "heads": 2, "sequence_length": 64, "batch_size": 4, "tokens": 131_072}
    return project(proxy=recipe)


def finished_proxies(store: Path) -> set[str]:
    return {path.parent.name for path in store.glob("proxies/*/run.json")}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_loses_nothing_that_was_finished(
    how: signal.Signals, project: Callable[..., Path], environment: dict[str, str], tmp_path: Path
) -> None:
    config = long_project(project)
    log = (tmp_path / "log").open("w")
    # A session of its own: what a killed run leaves (Prefect's ephemeral server) is ended by the test.
    running = subprocess.Popen(
        [OLMIX, "run", str(config)],
        env=environment,
        stdout=log,
        stderr=log,
        start_new_session=True,
        # Tests that were started in the background of a shell ignore it, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 200
    while len(finished_proxies(tmp_path / "store")) < 2 and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert running.poll() is None, (tmp_path / "log").read_text()
    running.send_signal(how)
    running.wait(timeout=60)
    log.close()
    words = (tmp_path / "log").read_text()
    assert "Traceback" not in words
    if how == signal.SIGINT:
        assert running.returncode == 130
        assert "finished results are kept" in words
    # Workers end by themselves when nobody listens any more; the server is told to.
    time.sleep(2)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    done = finished_proxies(tmp_path / "store")
    assert 2 <= len(done) < 6
    times = {key: (tmp_path / f"store/proxies/{key}/run.json").stat().st_mtime_ns for key in done}
    again = olmix("run", config, environment=environment)
    assert again.returncode == 0, again.stderr
    assert len(finished_proxies(tmp_path / "store")) == 6
    # What was finished was not trained again.
    assert {key: (tmp_path / f"store/proxies/{key}/run.json").stat().st_mtime_ns for key in done} == times


def test_a_server_shows_the_run_and_its_artifacts(project: Callable[..., Path], server: Any) -> None:
    result = olmix("run", project(), environment=server.environment)
    assert result.returncode == 0, result.stderr
    [run] = server.ask("flow_runs/filter")
    assert (run["name"], run["state"]["type"]) == ("test", "COMPLETED")
    artifacts = {artifact["key"]: artifact["data"] for artifact in server.ask("artifacts/filter")}
    assert "| code |" in artifacts["mix-test"]
    assert "proxies to train" in artifacts["plan-test"]
    names = {task["name"] for task in server.ask("task_runs/filter")}
    assert {"train 000", "statistics code", "propose", "publish"} <= names
