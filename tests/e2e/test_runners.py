"""The same mix on Ray, on Dask and by flow runs of a deployment: same keys, same mixture, nothing done twice."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from tests.support.running_server import Server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]  # a minute or two each where nothing else runs

OLMIX = str(Path(sys.executable).with_name("olmix"))
PREFECT = str(Path(sys.executable).with_name("prefect"))
ROOT = Path(__file__).parent.parent.parent
RUNS, TASKS = 4, 2
# Some seconds a proxy, so that there is a middle of it.
RECIPE = {"layers": 1, "width": 32, "heads": 1, "sequence_length": 32, "batch_size": 4, "tokens": 50_000}
EXECUTED = {
    "tokenizer": 1,
    "statistics": 3,
    "overlap": 1,
    "plan": 1,
    "swarm": 1,
    "train": RUNS,
    "evaluate": RUNS * TASKS,
    "evidence": 1,
    "fit": 1,
    "propose": 1,
    "publish": 1,
}

Run = Callable[[Path], tuple[dict[str, Any], dict[str, int]]]


@pytest.fixture(scope="module")
def in_threads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the run in threads found, filled by the first test that needs it."""
    return {}


@pytest.fixture
def expected(in_threads: dict[str, Any], project: Callable[..., Path], run: Run) -> dict[str, Any]:
    if not in_threads:
        path = configured(project, "threads")
        record, executed = run(path)
        assert executed == EXECUTED
        in_threads |= {"record": record, "proxies": proxies(path.parent / "threads")}
    return in_threads


def configured(project: Callable[..., Path], runner: str, **execution: Any) -> Path:
    return project(
        f"{runner}.yaml",
        store=runner,
        proxy=RECIPE,
        swarm={"runs": RUNS, "min_strength": 1.0},
        execution={"runner": runner, **execution},
    )


def proxies(store: Path) -> set[str]:
    return {path.parent.name for path in store.glob("proxies/*/run.json")}


def assert_same(record: dict[str, Any], store: Path, expected: dict[str, Any]) -> None:
    before = expected["record"]
    assert proxies(store) == expected["proxies"]
    assert record["keys"] == before["keys"]
    assert record["identity"] == before["identity"]
    assert record["weights"] == before["weights"]


class Killer(threading.Thread):
    """Kills the parent of a process that trains, once: when a first proxy is finished and another has begun.

    `finished` says when each proxy that was finished then was.
    """

    def __init__(self, store: Path, is_victim: Callable[[psutil.Process], bool]) -> None:
        super().__init__(daemon=True)
        self.store, self.is_victim = store, is_victim
        self.killed: psutil.Process | None = None
        self.finished: dict[Path, int] = {}

    def run(self) -> None:
        deadline = time.monotonic() + 800
        while self.killed is None and time.monotonic() < deadline:
            time.sleep(0.05)
            done = {path: path.stat().st_mtime_ns for path in self.store.glob("proxies/*/run.json")}
            if not done or len(done) == RUNS:
                continue
            for process in psutil.process_iter():
                try:
                    if self.is_victim(process) and self._trains(process):
                        self.finished = done
                        process.kill()
                        self.killed = process
                        break
                except psutil.Error:
                    continue

    @staticmethod
    def _trains(process: psutil.Process) -> bool:
        return any("olmix_core.workers.process" in child.cmdline() for child in process.children())

    def assert_nothing_finished_was_trained_again(self) -> None:
        assert self.killed is not None, "found nothing to kill"
        assert self.finished
        assert {path: path.stat().st_mtime_ns for path in self.finished} == self.finished


def test_on_ray_with_a_worker_killed_in_the_middle_of_a_proxy(
    project: Callable[..., Path], run: Run, expected: dict[str, Any], tmp_path: Path
) -> None:
    def is_training(process: psutil.Process) -> bool:
        mine = process.environ().get("OLMIX_CACHE_DIR") == os.environ["OLMIX_CACHE_DIR"]
        return mine and " ".join(process.cmdline()).startswith("ray::train")

    # Two at once on a machine of any size, a GPU or none.
    path = configured(project, "ray", resources={"cpus": max(1, (os.cpu_count() or 1) / 2), "gpus": 0})
    killer = Killer(tmp_path / "ray", is_training)
    killer.start()
    record, executed = run(path)
    killer.join()
    killer.assert_nothing_finished_was_trained_again()
    # A worker that was killed after it had kept its result, but before it reported it, is tried again and finds it.
    assert executed.pop("train") in (RUNS - 1, RUNS)
    assert executed == {step: count for step, count in EXECUTED.items() if step != "train"}
    assert_same(record, tmp_path / "ray", expected)
    again, executed = run(path)
    assert executed == {"publish": 1}
    assert again["version"] == record["version"]
    # Ray ends with the run.
    assert not [child for child in psutil.Process().children(recursive=True) if "raylet" in child.name()]


def test_on_dask(project: Callable[..., Path], run: Run, expected: dict[str, Any], tmp_path: Path) -> None:
    path = configured(project, "dask")
    record, executed = run(path)
    assert executed == EXECUTED
    assert_same(record, tmp_path / "dask", expected)
    assert run(path)[1] == {"publish": 1}


@pytest.fixture
def deployed(environment: dict[str, str], server: "Server", tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a server with the deployment and a worker, by the commands that docs/scale.md names."""
    settings = {**environment, "PREFECT_API_URL": server.url}

    def prefect(*words: str) -> None:
        done = subprocess.run(
            [PREFECT, *words], env=settings, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT
        )
        assert done.returncode == 0, done.stdout + done.stderr

    prefect("work-pool", "create", "olmix", "--type", "process")
    prefect("--no-prompt", "deploy", "--name", "proxy", "--prefect-file", "deployments/prefect.yaml")
    with (tmp_path / "worker.log").open("w") as log:
        words = [PREFECT, "worker", "start", "--pool", "olmix", "--limit", "2"]
        worker = subprocess.Popen(words, env=settings, stdout=log, stderr=log, cwd=ROOT)
        try:
            yield settings
        finally:
            for child in psutil.Process(worker.pid).children(recursive=True):
                child.kill()
            worker.kill()
            worker.wait(timeout=30)


def test_by_flow_runs_of_a_deployment_with_one_killed_in_the_middle_of_a_proxy(
    project: Callable[..., Path], expected: dict[str, Any], deployed: dict[str, str], tmp_path: Path
) -> None:
    def is_flow_run(process: psutil.Process) -> bool:
        return "PREFECT__FLOW_RUN_ID" in process.environ() and process.environ().get("OLMIX_CACHE_DIR") == str(
            tmp_path / "cache"
        )

    path, store = configured(project, "deployment"), tmp_path / "deployment"
    killer = Killer(store, is_flow_run)
    killer.start()
    first = olmix("run", path, environment=deployed)
    assert first.returncode == 0, first.stdout + first.stderr
    killer.join()
    killer.assert_nothing_finished_was_trained_again()
    assert f"train {RUNS}, evaluate {RUNS * TASKS}, " in first.stdout
    record = json.loads((store / "mixes/test/v0001/mix.json").read_text())
    assert_same(record, store, expected)
    assert record["run"]["train"] == {"executed": RUNS, "cached": 0, "reused": 0}
    jobs = len(list((store / "cache/jobs").iterdir()))
    assert jobs == 2 * RUNS  # each proxy is trained by one, and measured on all tasks by another
    second = olmix("run", path, environment=deployed)
    assert "everything was cached" in second.stdout, second.stdout + second.stderr
    assert len(list((store / "cache/jobs").iterdir())) == jobs


def test_a_deployment_that_is_not_there_is_told_at_once(
    project: Callable[..., Path], environment: dict[str, str], server: "Server"
) -> None:
    path = project(execution={"runner": "deployment", "deployment": "proxy/other"})
    told = olmix("run", path, environment={**environment, "PREFECT_API_URL": server.url})
    assert told.returncode == 1
    words = " ".join(told.stderr.split())
    assert "execution.deployment: found 'proxy/other', which is not on" in words
    assert "prefect --no-prompt deploy" in words
    assert "Traceback" not in words


def olmix(*words: object, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [OLMIX, *map(str, words)], env=environment, capture_output=True, text=True, timeout=800, check=False
    )
