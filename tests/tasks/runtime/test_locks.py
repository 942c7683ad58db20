"""A lock is had by one at a time, and by nobody once its holder is dead."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from prefect.locking.protocol import LockManager

from tasks.runtime.locks import StoreLocks

HOLD = """
import sys, time
from tasks.runtime.locks import StoreLocks
StoreLocks("/store").acquire_lock("train/a", "other")
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreLocks:
    monkeypatch.setenv("OLMIX_CACHE_DIR", str(tmp_path))
    return StoreLocks("/store")


def test_it_is_what_prefect_asks_for(locks: StoreLocks) -> None:
    assert isinstance(locks, LockManager)


def test_a_lock_has_one_holder(locks: StoreLocks, tmp_path: Path) -> None:
    assert locks.acquire_lock("train/a", "me")
    assert locks.is_lock_holder("train/a", "me")
    assert not locks.is_lock_holder("train/a", "you")
    assert locks.is_locked("train/a")
    assert not locks.acquire_lock("train/a", "you", acquire_timeout=0.1)
    assert not locks.is_locked("train/b")
    assert not StoreLocks("/other").is_locked("train/a")
    with pytest.raises(ValueError, match="not held by you"):
        locks.release_lock("train/a", "you")
    locks.release_lock("train/a", "me")
    assert locks.acquire_lock("train/a", "you", acquire_timeout=0)
    locks.release_lock("train/a", "you")
    assert not list((tmp_path / "locks").iterdir())  # nothing piles up


def test_threads_come_one_after_another(locks: StoreLocks) -> None:
    inside, most = [0], [0]

    def work(number: int) -> None:
        for _ in range(50):
            locks.acquire_lock("train/a", str(number))
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            inside[0] -= 1
            locks.release_lock("train/a", str(number))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1


def test_a_killed_holder_lets_go(locks: StoreLocks) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert locks.is_locked("train/a")
        assert not locks.wait_for_lock("train/a", timeout=0.2)
        process.send_signal(signal.SIGKILL)
        assert locks.acquire_lock("train/a", "me", acquire_timeout=30)
    locks.release_lock("train/a", "me")
