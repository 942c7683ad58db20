"""A run that is stopped ends the processes that work for it, at once and for good.

Ctrl-C, and the signal that cancels a run, reach the main thread only; the threads that wait for the processes would
otherwise keep the program until the last of them is done.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from olmix_core.errors import TrainingError

_lock = threading.Lock()
_enders: set[Callable[[], object]] = set()
_stopped = False


def is_stopped() -> bool:
    """Whether the run was stopped; what fails now fails because of that."""
    return _stopped


def raise_if_cancelled() -> None:
    """Raise TrainingError where the run was stopped: to be asked by whoever waits."""
    if _stopped:
        raise TrainingError("the run was stopped; what was finished is kept: run it again to go on")


@contextmanager
def until_stopped() -> Iterator[None]:
    """A run. What stops it (KeyboardInterrupt or another signal, no Exception) ends all that `ended_with_run` has."""
    global _stopped
    with _lock:
        _stopped = False
    try:
        yield
    except Exception:
        raise
    except BaseException:
        with _lock:
            _stopped = True
            enders = list(_enders)
        for end in enders:
            with suppress(ProcessLookupError):
                end()
        raise


@contextmanager
def ended_with_run(end: Callable[[], object]) -> Iterator[None]:
    """While it lasts, `end` is called when the run is stopped. Raises TrainingError where it was stopped before."""
    with _lock:
        raise_if_cancelled()
        _enders.add(end)
    try:
        yield
    finally:
        with _lock:
            _enders.discard(end)
