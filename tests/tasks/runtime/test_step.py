"""A step: what is there is not computed again, and it is tried again only where that can help; its log says of what."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.runtime import task_run

from olmix_core.errors import StoreError, TrainingError, WorkerLostError
from olmix_core.serialization import JsonRecord
from olmix_core.storage.layout import payload_path, result_key, result_path
from olmix_core.storage.store import Store
from olmix_core.workers.pool import worker_pool
from tasks.runtime.log import StepLog
from tasks.runtime.results import known_result
from tasks.runtime.step import step


@dataclass(frozen=True)
class Payload(JsonRecord):
    a: int


@dataclass(frozen=True)
class Result(JsonRecord):
    made: int


executed: list[Payload] = []


@step("tried", 1, title="try", payload=Payload, result=Result)
def tried(payload: Payload, store: Store) -> Result:
    executed.append(payload)
    return Result(len(executed))


def kept(store: Store, key: str, result: str) -> None:
    """A result file as Prefect writes it."""
    record = {"metadata": {"serializer": {"type": "json"}}, "result": result}
    store.write_json(result_path(key), record)


def test_a_store_that_does_not_answer_is_not_one_without_the_result(
    prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    before = len(executed)
    with pytest.raises(StoreError, match="does not answer"):
        tried.task({"a": 1}, "s3://bucket/store")
    assert len(executed) == before


def test_a_result_that_is_there_after_all_is_taken(prefect_server: None, tmp_path: Path) -> None:
    store, before = Store(str(tmp_path)), len(executed)
    kept(store, result_key("tried", tried.key(Payload(2))), '{"made": 7}')
    assert tried.task({"a": 2}, str(tmp_path)) == {"made": 7}
    assert len(executed) == before


@pytest.mark.parametrize("content", [b"", b"{", b'{"metadata": {"serializer": {"type": "pickle"}}, "result": ""}'])
def test_a_result_that_is_damaged_or_no_plain_json_counts_as_missing(content: bytes, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write_bytes(result_path("tried/a"), content)
    assert known_result(store, "tried/a") is None
    assert known_result(store, "tried/b") is None


@pytest.mark.long
def test_a_proxy_whose_process_was_killed_is_trained_all_the_same(
    project: Callable[..., Path], run_flow: Callable[[Path], Any]
) -> None:
    killed: list[int] = []

    def kill_one() -> None:
        deadline = time.monotonic() + 200
        while not killed and time.monotonic() < deadline:
            for process in worker_pool.busy_processes:
                os.kill(process, signal.SIGKILL)
                killed.append(process)
                return
            time.sleep(0.01)

    thread = threading.Thread(target=kill_one)
    thread.start()
    record, executed = run_flow(project())
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
    monkeypatch.setattr("tasks.runtime.step.RETRY_SECONDS", (0.0, 0.0))
    tried: list[str] = []

    @step("failing", 1, title="fail", payload=Payload, result=Result)
    def failing(payload: Payload, store: Store, label: str) -> Result:
        tried.append(label)
        raise error("no")

    with pytest.raises(error, match="no"):
        failing.task({"a": 1}, str(tmp_path), label="it")
    assert tried == ["it"] * times


def test_a_line_of_the_log_says_of_what_it_is() -> None:
    log = StepLog(logging.getLogger("test"), {"mix": "web", "label": "3c58db code", "key": "0940"})
    assert log.process("begins", {}) == ('mix=web label="3c58db code" key=0940: begins', {})


def test_a_step_may_name_its_arguments_as_it_likes(prefect_server: None, tmp_path: Path) -> None:
    names: list[str] = []

    @step("other-names", 1, title="count", payload=Payload, result=Result)
    def counted(_numbers: Payload, _place: Store, *, label: str) -> Result:
        names.append(task_run.name)
        return Result(len(label))

    @flow
    def run() -> None:
        assert counted.task({"a": 1}, str(tmp_path), label="two words") == {"made": 9}

    run()
    assert names == ["other-names two words"]
    assert Store(str(tmp_path)).exists(payload_path("other-names", counted.key(Payload(1))))
