"""Worker processes: their errors come back, their deaths are told, and they end when asked to."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import psutil
import pytest
import torch
from safetensors.numpy import load_file

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.data.input_file import InputFile
from olmix_core.data.tasks import TaskSource
from olmix_core.data.tokenisation import tokenise
from olmix_core.data.tokenizer import byte_tokenizer
from olmix_core.errors import DataError, EvaluationError, OlmixError, TrainingError, WorkerEndedError, WorkerLostError
from olmix_core.proxies.results import ProxyRun, TrainingProgress, load_run
from olmix_core.serialization import JsonRecord
from olmix_core.storage.layout import proxy_checkpoint_path, proxy_model_path
from olmix_core.storage.store import Store
from olmix_core.workers import pool as workers_module
from olmix_core.workers.jobs import EvaluateJob, Job, ProxyReference, TrainJob
from olmix_core.workers.pool import WorkerPool

RECIPE = ProxyRecipe(layers=1, width=16, heads=1, sequence_length=32, batch_size=2, tokens=2048)
ENDLESS = RECIPE.model_copy(update={"tokens": 10**7})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with a tokenizer and two tokenised leaves: `long`, and `short` that has too little text."""
    folder = tmp_path_factory.mktemp("workers")
    store = Store(str(folder / "store"))
    store.write_json("tokenizers/bytes.json", byte_tokenizer().to_json())
    for name, count in (("long", 200), ("short", 1)):
        text = "".join(f'{{"text": "line {i}"}}\n' for i in range(count))
        (folder / f"{name}.jsonl").write_text(text)
        tokenise([InputFile(str(folder / f"{name}.jsonl"), ".jsonl text")], byte_tokenizer(), store, name)
    return store


@pytest.fixture(scope="module")
def workers() -> Iterator[WorkerPool]:
    workers = WorkerPool()
    yield workers
    workers.close()


def reference(store: Store, key: str, recipe: ProxyRecipe = RECIPE) -> ProxyReference:
    return ProxyReference(store.url, key, recipe.model_dump(), "tokenizers/bytes.json")


def training(store: Store, key: str, recipe: ProxyRecipe = RECIPE, leaf: str = "long") -> TrainJob:
    return TrainJob(reference(store, key, recipe), {leaf: 1.0}, {leaf: leaf})


def evaluation(store: Store, key: str, *corpora: str, file: Path | None = None) -> EvaluateJob:
    source = TaskSource(file=None if file is None else str(file))
    return EvaluateJob(reference(store, key), "a task", source, corpora)


def test_a_proxy_is_trained_and_evaluated(workers: WorkerPool, store: Store, tmp_path: Path) -> None:
    assert load_run(store, "a") is None
    run = workers.run(training(store, "a"))
    assert load_run(store, "a") == run
    assert run.training.tokens == {"long": 2048}
    assert run.training.losses[-1][1] < run.training.losses[0][1]
    weights = load_file(store.local_copy(proxy_model_path("a")))
    assert sum(array.size for array in weights.values()) == run.training.parameters

    (tmp_path / "task.jsonl").write_text('{"context": "li", "continuation": "ne 7"}\n')
    heldout = workers.run(evaluation(store, "a", "long")).bpb
    items = workers.run(evaluation(store, "a", file=tmp_path / "task.jsonl")).bpb
    assert 0 < heldout < 8.5
    assert 0 < items < 8.5


def test_an_error_keeps_its_type_and_the_worker_stays(workers: WorkerPool, store: Store, tmp_path: Path) -> None:
    workers.run(training(store, "a"))
    before = workers.processes
    with pytest.raises(TrainingError, match="found 7 tokens to train on; expected more than one sequence of 32"):
        workers.run(training(store, "d", leaf="short"))
    assert load_run(store, "d") is None
    (tmp_path / "task.jsonl").write_text('{"context": "li"}\n')
    with pytest.raises(DataError, match="line 1: found no text in field 'continuation'"):
        workers.run(evaluation(store, "a", file=tmp_path / "task.jsonl"))
    with pytest.raises(EvaluationError, match="proxy a on task 'a task': BPB is nan"):
        workers.run(evaluation(store, "a", "short"))
    assert workers.processes == before
    assert len(before) == 1


@dataclass(frozen=True)
class UnknownJob(Job[ProxyRun]):
    kind: ClassVar[str] = "unknown"
    result_type: ClassVar[type[JsonRecord]] = ProxyRun


def test_a_defect_in_a_job_is_quoted(workers: WorkerPool, store: Store) -> None:
    with pytest.raises(WorkerEndedError, match=r"(?s)ended with status 1: .*ValueError: found a job of kind 'unknown'"):
        workers.run(UnknownJob(reference(store, "a")))
    assert not workers.processes


def test_a_killed_worker_is_reported_and_replaced(workers: WorkerPool, store: Store) -> None:
    workers.run(training(store, "a"))
    [first] = workers.processes

    def kill(state: TrainingProgress) -> None:
        os.kill(first, signal.SIGKILL)

    with pytest.raises(TrainingError, match="a worker process was killed by signal 9"):
        workers.run(training(store, "killed", ENDLESS), kill)
    assert load_run(store, "killed") is None
    assert not workers.processes

    workers.run(training(store, "b"))
    second = workers.processes
    assert second.isdisjoint({first})
    # Another process, but the same weights.
    a, b = (load_file(store.local_copy(proxy_model_path(key))) for key in "ab")
    assert a.keys() == b.keys()
    assert all(np.array_equal(a[name], b[name]) for name in a)

    # One that dies while it has nothing to do costs no job.
    [pid] = second
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    workers.run(training(store, "c"))
    assert workers.processes.isdisjoint(second)


@pytest.mark.long
def test_a_proxy_killed_twice_ends_with_the_same_weights_and_bpb(workers: WorkerPool, store: Store) -> None:
    recipe = ProxyRecipe(layers=1, width=32, heads=2, sequence_length=32, batch_size=4, tokens=3 * 2**15)
    whole = workers.run(training(store, "whole", recipe))
    random, kills = np.random.default_rng(), list[float]()
    job = replace(training(store, "interrupted", recipe), checkpoint_seconds=0.05)
    earliest = 0.0
    for _ in range(2):
        [pid] = workers.processes
        stop = random.uniform(earliest, earliest + 0.25 * (1 - earliest))  # well before the end

        def kill(state: TrainingProgress, stop: float = stop, pid: int = pid) -> None:
            if state.done >= stop:
                kills.append(state.done)
                os.kill(pid, signal.SIGKILL)

        with pytest.raises(TrainingError, match="was killed by signal 9"):
            workers.run(job, kill)
        assert store.exists(proxy_checkpoint_path("interrupted"))
        earliest = kills[-1]
        workers.run(training(store, "a"))  # a new process
    interrupted = workers.run(job)
    assert interrupted.training.resumed == 2, kills
    assert interrupted.training.losses == whole.training.losses, kills
    both = ("whole", "interrupted")
    one, other = (load_file(store.local_copy(proxy_model_path(key))) for key in both)
    assert all(np.array_equal(one[name], other[name]) for name in one), kills
    bpb = [workers.run(EvaluateJob(reference(store, key, recipe), "a task", TaskSource(), ("long",))) for key in both]
    assert bpb[0] == bpb[1]
    assert not store.exists(proxy_checkpoint_path("interrupted"))


@pytest.mark.long
def test_a_proxy_that_takes_too_long_is_stopped_and_keeps_its_checkpoint(workers: WorkerPool, store: Store) -> None:
    job = replace(training(store, "slow", ENDLESS), checkpoint_seconds=0.05)
    with pytest.raises(TrainingError, match=r"stopped after 0\.001 hours, .*raise execution\.timeout_hours"):
        workers.run(job, hours=0.001)
    assert store.exists(proxy_checkpoint_path("slow"))
    assert load_run(store, "slow") is None
    workers.run(training(store, "a"), hours=1.0)


def gpu_of(pid: int) -> str:
    """The GPU that a worker sees; until its program has started, a process shows the environment of its parent."""
    for _ in range(1000):
        if gpu := psutil.Process(pid).environ().get("CUDA_VISIBLE_DEVICES"):
            return gpu
        time.sleep(0.01)
    raise AssertionError(f"process {pid} has no CUDA_VISIBLE_DEVICES")


def test_workers_share_the_visible_gpus(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "visible_gpus", lambda: ["3", "GPU-5"])
    assert workers_module.at_once() == 2
    workers = WorkerPool()
    with ThreadPoolExecutor() as threads:
        jobs = [threads.submit(workers.run, training(store, str(number), ENDLESS)) for number in range(3)]
        try:
            while len(workers.busy_processes) < 3:
                time.sleep(0.01)
            gpus = [gpu_of(pid) for pid in workers.busy_processes]
        finally:
            workers.close()
        for job in jobs:
            with pytest.raises(WorkerLostError):
                job.result()
    assert sorted(gpus) == ["3", "3", "GPU-5"]


@pytest.mark.long
def test_a_worker_is_replaced_when_the_visible_gpus_change(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a cluster does: each task has GPUs of its own."""
    workers, used = WorkerPool(), []
    try:
        for gpu in ("0", "0", "1"):
            monkeypatch.setattr(workers_module, "visible_gpus", lambda gpu=gpu: [gpu])
            workers.run(replace(training(store, "gpus"), checkpoint_seconds=0.0))
            [pid] = workers.processes
            used.append((pid, gpu_of(pid)))
    finally:
        workers.close()
    assert [gpu for _, gpu in used] == ["0", "0", "1"]
    assert used[0] == used[1]
    assert not psutil.pid_exists(used[0][0])


@pytest.mark.parametrize(("named", "found"), [(None, ["0", "1"]), ("1,GPU-7", ["1", "GPU-7"]), ("", []), ("-1", [])])
def test_visible_gpus_follow_the_environment(
    named: str | None, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: named not in ("", "-1"))
    if named is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert workers_module.visible_gpus() == found


@pytest.mark.long
def test_two_jobs_run_at_once_and_closing_ends_them(workers: WorkerPool, store: Store) -> None:
    both = threading.Barrier(2, timeout=120)
    running = threading.Barrier(3, timeout=120)
    met: set[str] = set()

    def job(key: str) -> None:
        def progress(state: TrainingProgress) -> None:
            assert 0 < state.done < 1
            assert state.tokens_per_second > 0
            if key not in met:
                met.add(key)
                both.wait()  # passes only when both are under way
                running.wait()

        workers.run(training(store, key, ENDLESS), progress)

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(job, key) for key in ("g", "h")]
        running.wait()
        busy = workers.processes
        workers.close()
        errors = [future.exception(timeout=120) for future in futures]
    assert len(busy) == 2
    assert all(isinstance(error, OlmixError) for error in errors), errors
    for pid in busy:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert load_run(store, "g") is None
