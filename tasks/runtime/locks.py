"""Locks: one result of a step is computed once, however many runs ask for it at the same moment.

A lock is the operating system's lock on a file of this machine (flock). It holds between threads and between processes,
and is released when its holder dies, however it dies. There is no lock across machines: there a result may be computed
twice, which costs time and does no harm, since both are the same.
"""

import asyncio
import fcntl
import hashlib
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from prefect.locking.protocol import LockManager
from typing_extensions import override

from olmix_core.storage.local_cache import cache_dir
from olmix_core.workers.cancellation import raise_if_cancelled

POLL_SECONDS = 0.05

# (store, key) -> (descriptor, holder), of this process; not sent along to other processes.
_held: dict[tuple[str, str], tuple[int, str]] = {}
_guard = threading.Lock()


@dataclass(frozen=True)
class StoreLocks(LockManager):
    """The locks on the results of one store, as Prefect's transactions ask for them.

    A lock is held until it is released: `hold_timeout` is ignored. Waiting raises TrainingError if the run is stopped.

    Attributes:
        store: URL of the store.
    """

    store: str

    @override
    def acquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        descriptor = _lock(self._file(key), acquire_timeout)
        if descriptor is None:
            return False
        with _guard:
            _held[self.store, key] = (descriptor, holder)
        return True

    @override
    def release_lock(self, key: str, holder: str) -> None:
        with _guard:
            if _held.get((self.store, key), (None, None))[1] != holder:
                raise ValueError(f"the lock on {key} is not held by {holder}")
            descriptor, _ = _held.pop((self.store, key))
        _unlock(self._file(key), descriptor)

    @override
    def is_locked(self, key: str) -> bool:
        return not self.wait_for_lock(key, 0)

    @override
    def is_lock_holder(self, key: str, holder: str) -> bool:
        with _guard:
            return _held.get((self.store, key), (None, None))[1] == holder

    @override
    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        file = self._file(key)
        descriptor = _lock(file, timeout)
        if descriptor is None:
            return False
        _unlock(file, descriptor)
        return True

    @override
    async def aacquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        return await asyncio.to_thread(self.acquire_lock, key, holder, acquire_timeout, hold_timeout)

    @override
    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        return await asyncio.to_thread(self.wait_for_lock, key, timeout)

    def _file(self, key: str) -> Path:
        return cache_dir() / "locks" / hashlib.sha256(f"{self.store}\n{key}".encode()).hexdigest()


def _lock(file: Path, timeout: float | None) -> int | None:
    """A descriptor that has the lock on `file`; None where that took longer than `timeout` seconds.

    Raises TrainingError where the run was stopped while it waited.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    until = None if timeout is None else time.monotonic() + timeout
    while True:
        descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            if until is not None and time.monotonic() >= until:
                return None
            raise_if_cancelled()
            time.sleep(POLL_SECONDS)
            continue
        if _is_at(file, descriptor):
            return descriptor
        os.close(descriptor)  # its last holder removed it before it was ours


def _unlock(file: Path, descriptor: int) -> None:
    file.unlink(missing_ok=True)  # while it is locked: whoever has it open sees that it is gone, and takes a new one
    os.close(descriptor)


def _is_at(file: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(file.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
