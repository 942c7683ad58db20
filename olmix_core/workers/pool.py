"""Worker processes, kept while there is work and replaced when they die.

Each has one CPU thread and, where there are GPUs, one of them: two processes of one thread train far more than one
process of two, and a GPU that two processes share serves both.
"""

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from typing import TypeVar, cast

import torch

from olmix_core import errors
from olmix_core.errors import OlmixError, WorkerEndedError, WorkerLostError
from olmix_core.proxies.results import Progress, TrainingProgress
from olmix_core.serialization import JsonRecord
from olmix_core.workers.cancellation import ended_with_run
from olmix_core.workers.jobs import Job

ResultT = TypeVar("ResultT", bound=JsonRecord)

_OUTPUT = 2000  # characters of a dead worker's output in its error


class _Worker:
    """One worker process; `process` describes its messages."""

    def __init__(self, number: int) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        # One thread each: more would compete for the cores of other workers.
        threads = {
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        # CUDA needs this before the first matrix product, for products that are deterministic.
        environment = {**os.environ, **threads, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
        self.gpus = visible_gpus()  # those that it got one of when it began
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

    def run(self, job: Job[ResultT], progress: Progress, hours: float | None) -> ResultT:
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
        except WorkerEndedError as error:
            if not too_late.is_set():
                raise
            raise WorkerEndedError(
                f"a worker process was stopped after {hours:g} hours, {job.after_timeout}"
            ) from error
        finally:
            timer.cancel()

    def _run(self, job: Job[ResultT], progress: Progress) -> ResultT:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(job.to_message()) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        for line in self._process.stdout:
            [(kind, content)] = json.loads(line).items()
            if kind == "progress":
                progress(TrainingProgress.from_json(content))
            elif kind == "error":
                raise getattr(errors, content["kind"])(content["message"])
            else:
                return cast(ResultT, job.result_type.from_json(content))
        raise self._ended()

    def _ended(self) -> WorkerEndedError:
        status = self._process.wait()
        self._stderr.seek(0)
        output = self._stderr.read().decode(errors="replace").strip()[-_OUTPUT:] or "it wrote nothing"
        if status < 0:
            return WorkerLostError(f"a worker process was killed by signal {-status}: {output}")
        return WorkerEndedError(f"a worker process ended with status {status}: {output}")

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """End the process at once; a job under way is abandoned, and nothing half-written stays."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process and release its pipes; not while another thread is in `run`."""
        self.kill()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            if stream is not None:
                with suppress(BrokenPipeError):  # a job that the process did not live to read
                    stream.close()


def visible_gpus() -> list[str]:
    """List the GPUs that this process may use.

    Returns:
        Their names, as in CUDA_VISIBLE_DEVICES.
    """
    names = os.environ.get("CUDA_VISIBLE_DEVICES")
    if names is not None:
        return [name for name in names.split(",") if name] if torch.cuda.is_available() else []
    return [str(number) for number in range(torch.cuda.device_count())]


def at_once() -> int:
    """Count the proxies that are trained at once by default.

    Returns:
        One per GPU, or one per core that this process may use.
    """
    return len(visible_gpus()) or len(os.sched_getaffinity(0))


class WorkerPool:
    """As many worker processes as there are jobs at once. Safe to use from several threads."""

    def __init__(self) -> None:
        """Create a pool; processes are started by jobs."""
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._lock = threading.Lock()
        self._started = 0

    def run(self, job: Job[ResultT], progress: Progress = lambda _state: None, hours: float | None = None) -> ResultT:
        """Run a job on an idle worker, or on a new one.

        Args:
            job: The job.
            progress: Called while a proxy is trained.
            hours: Time after which the job is stopped; None for no limit.

        Returns:
            The result of the job.

        Raises:
            WorkerLostError: If the process was killed from outside.
            WorkerEndedError: If the process ended, or was stopped after `hours`.
            OlmixError: What the job raised.
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
            reusable = not isinstance(error, WorkerEndedError)
            raise
        finally:
            with self._lock:
                self._busy.discard(worker)
                if reusable:
                    self._idle.append(worker)
            if not reusable:
                worker.close()

    @property
    def processes(self) -> frozenset[int]:
        """Ids of its processes, idle ones too."""
        with self._lock:
            return frozenset(worker.pid for worker in (*self._idle, *self._busy))

    @property
    def busy_processes(self) -> frozenset[int]:
        """Ids of the processes that have a job."""
        with self._lock:
            return frozenset(worker.pid for worker in self._busy)

    def _take(self) -> _Worker:
        """An idle worker that is alive and has the GPUs of this process, else a new one."""
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


worker_pool = WorkerPool()
atexit.register(worker_pool.close)
