"""A step is tried again only where that can help; its log says of what each line is."""

import logging
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from olmix_core.errors import TrainingError, WorkerLostError
from olmix_core.workers import workers
from tasks.log import StepLog
from tasks.step import step

LONG = {"layers": 2, "width": 32, "heads": 1, "sequence_length": 64, "batch_size": 4, "tokens": 65_536}


def test_a_proxy_whose_process_was_killed_is_trained_all_the_same(
    project: Callable[..., Path], run: Callable[[Path], Any]
) -> None:
    killed: list[int] = []

    def kill_one() -> None:
        deadline = time.monotonic() + 200
        while not killed and time.monotonic() < deadline:
            for worker in list(workers._busy):
                worker._process.send_signal(signal.SIGKILL)
                killed.append(worker._process.pid)
                return
            time.sleep(0.01)

    thread = threading.Thread(target=kill_one)
    thread.start()
    record, executed = run(project(proxy=LONG))
    thread.join()
    assert len(killed) == 1
    assert executed["train"] == 6
    assert record["proxies"]["swarm"] == 6


@pytest.mark.parametrize(("error", "times"), [(WorkerLostError, 3), (TrainingError, 1), (ValueError, 1)])
def test_only_what_may_pass_is_tried_again(
    error: type[Exception],
    times: int,
    prefect_server: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tasks.step.RETRY_SECONDS", (0.0, 0.0))
    tried: list[str] = []

    @step("failing", code_version=1)
    def failing(payload: dict[str, Any], store: str, label: str) -> dict[str, Any]:
        tried.append(label)
        raise error("no")

    with pytest.raises(error, match="no"):
        failing.task({"a": 1}, str(tmp_path), label="it")
    assert tried == ["it"] * times


def test_a_line_of_the_log_says_of_what_it_is() -> None:
    log = StepLog(logging.getLogger("test"), {"mix": "web", "label": "3c58db code", "key": "0940"})
    assert log.process("begins", {}) == ('mix=web label="3c58db code" key=0940: begins', {})
