"""A run that is stopped ends what works for it, and nothing is begun after that."""

import os
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest

from olmix_core.errors import TrainingError
from olmix_core.proxies.mixture_description import MixtureDescription
from olmix_core.workers.cancellation import ended_with_run, is_stopped, until_stopped
from olmix_core.workers.command import run_command


def test_a_stop_ends_processes_and_prevents_new_ones() -> None:
    process = subprocess.Popen(["sleep", "100"])
    with ended_with_run(process.kill), pytest.raises(KeyboardInterrupt), until_stopped():
        raise KeyboardInterrupt
    assert process.wait(timeout=10) < 0
    assert is_stopped()
    with pytest.raises(TrainingError, match="the run was stopped; what was finished is kept"), ended_with_run(print):
        pytest.fail("it was begun")
    with until_stopped():  # another run of this process
        assert not is_stopped()


def test_an_error_does_not_end_processes() -> None:
    process = subprocess.Popen(["sleep", "100"])
    try:
        with ended_with_run(process.kill), pytest.raises(TrainingError), until_stopped():
            raise TrainingError("one of several")
        assert process.poll() is None
        assert not is_stopped()
    finally:
        process.kill()
        process.wait()


def test_a_stop_ends_a_command_and_its_children(tmp_path: Path) -> None:
    line = f"sleep 100 & echo $! > {tmp_path}/pid; wait; true {{config}} {{metrics}}"
    errors: list[BaseException] = []

    def train() -> None:
        try:
            run_command(line, MixtureDescription("m-000", {}, None, 0, {}, ()), hours=1.0)
        except TrainingError as error:
            errors.append(error)

    thread = threading.Thread(target=train)
    thread.start()
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.05)
    with pytest.raises(KeyboardInterrupt), until_stopped():
        raise KeyboardInterrupt
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert "ended with status -9" in str(errors[0])
    started = int((tmp_path / "pid").read_text())
    # It is nobody's child any more: it may stay as a dead process until it is looked after.
    assert not psutil.pid_exists(started) or psutil.Process(started).status() == psutil.STATUS_ZOMBIE
    assert started != os.getpid()
