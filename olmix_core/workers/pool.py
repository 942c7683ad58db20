"""Worker processes, kept while there is work and started again when they die. See `worker`.

Each has one CPU thread and, where there are GPUs, one of them: two processes of one thread train far more than one
process of two, and a GPU that is shared by two processes still serves both.
"""

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from typing import Any

import torch

from olmix_core import errors
from olmix_core.errors import OlmixError, TrainingError, WorkerLostError
from olmix_core.proxies.training import Progress
from olmix_core.workers.cancellation import ended_with_run


class _Worker:
    def __init__(self, number: int) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        # One thread each: more would fight over the cores that other workers use.
        threads = {
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        # Deterministic matrix products on CUDA need this before the first one.
        environment = {**os.environ, **threads, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
        self.gpus = visible_gpus()  # those that it was one of when it began
        if self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self.gpus[number % len(self.gpus)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "olmix_core.workers.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=environment,
            text=True,
        )

    def run(self, job: dict[str, Any], progress: Progress, hours: float | None) -> dict[str, Any]:
        if hours is None:
            return self._run(job, progress)
        too_late = threading.Event()

        def stop() -> None:
            too_late.set()
            self._process.kill()

        timer = threading.Timer(hours * 3600, stop)
        timer.daemon = True
        timer.start()
        try:
            return self._run(job, progress)
        except TrainingError as error:
            if not too_late.is_set():
                raise
            raise TrainingError(
                f"a worker process was stopped after {hours:g} hours, with its last checkpoint kept; expected a proxy"
                " to be trained by then: raise execution.timeout_hours, or take a smaller recipe, and run again"
            ) from error
        finally:
            timer.cancel()

    def _run(self, job: dict[str, Any], progress: Progress) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None
        for line in self._process.stdout:
            [(kind, value)] = json.loads(line).items()
            if kind == "progress":
                progress(value)
            elif kind == "error":
                raise getattr(errors, value["kind"])(value["message"])
            else:
                return dict(value)
        raise self._died()

    def _died(self) -> TrainingError:
        status = self._process.wait()
        self._stderr.seek(0)
        words = self._stderr.read().decode(errors="replace").strip()[-2000:] or "it said nothing"
        if status < 0:
            return WorkerLostError(f"a worker process was killed by signal {-status}: {words}")
        return TrainingError(f"a worker process ended with status {status}: {words}")

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process at once; a job under way is abandoned, and nothing half-written stays."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process and let go of what belongs to it; not while another thread is in `run`."""
        self.kill()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            if stream is not None:
                with suppress(BrokenPipeError):  # a job that the process did not live to read
                    stream.close()


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name] if torch.cuda.is_available() else []
    return [str(number) for number in range(torch.cuda.device_count())]


def at_once() -> int:
    """How many proxies to train at once by default: one per GPU, or per core that this process may use."""
    return len(visible_gpus()) or len(os.sched_getaffinity(0))


class Workers:
    """As many workers as are asked for at once. Safe to use from several threads."""

    def __init__(self) -> None:
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._lock = threading.Lock()
        self._started = 0

    def run(
        self, job: dict[str, Any], progress: Progress = lambda state: None, hours: float | None = None
    ) -> dict[str, Any]:
        """Run a job on an idle worker, or on a new one; after `hours` it is stopped.

        Raises:
            OlmixError: what the worker raised; TrainingError where the process died or was stopped.
        """
        with self._lock:
            worker = self._take()
            self._busy.add(worker)
        reusable = False
        try:
            with ended_with_run(worker.kill):
                result = worker.run(job, progress, hours)
            reusable = True
            return result
        except OlmixError as error:
            reusable = not str(error).startswith("a worker process")
            raise
        finally:
            with self._lock:
                self._busy.discard(worker)
                if reusable:
                    self._idle.append(worker)
            if not reusable:
                worker.close()

    def _take(self) -> _Worker:
        """One that is idle and as good as new, else a new one."""
        while self._idle:
            worker = self._idle.pop()
            # A cluster gives this process other GPUs for each task; and it may have been killed while idle.
            if worker.is_alive and worker.gpus == visible_gpus():
                return worker
            worker.close()
        return self._new()

    def _new(self) -> _Worker:
        self._started += 1
        return _Worker(self._started - 1)

    def close(self) -> None:
        """End all workers, busy ones too."""
        with self._lock:
            idle, busy, self._idle = self._idle, list(self._busy), []
        for worker in busy:
            worker.kill()  # the thread that waits for it closes it
        for worker in idle:
            worker.close()


workers = Workers()
atexit.register(workers.close)
