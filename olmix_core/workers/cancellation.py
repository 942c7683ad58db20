"""Cancellation: a run that is stopped ends the processes that work for it at once.

Ctrl-C, and the signal that cancels a run, reach the main thread only; without this, the threads that wait for the
processes would keep the program running until the last of them is done.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from olmix_core.errors import TrainingError

_lock = threading.Lock()
_enders: set[Callable[[], object]] = set()
_stopped = False


def is_stopped() -> bool:
    """Tell whether the run was stopped.

    Returns:
        Whether it was; an error is then a consequence.
    """
    return _stopped


def raise_if_cancelled() -> None:
    """Raise an error if the run was stopped; for loops that wait.

    Raises:
        TrainingError: If it was.
    """
    if _stopped:
        raise TrainingError("the run was stopped; what was finished is kept: run it again to go on")


@contextmanager
def until_stopped() -> Iterator[None]:
    """Mark the duration of a run. A KeyboardInterrupt or another BaseException that is no Exception stops it.

    Yields:
        Once; on a stop, every function registered with `ended_with_run` is called.
    """
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
    """Call `end` if the run is stopped in the meantime.

    Args:
        end: Ends a process.

    Yields:
        Once.

    Raises:
        TrainingError: If the run was stopped before.
    """
    with _lock:
        raise_if_cancelled()
        _enders.add(end)
    try:
        yield
    finally:
        with _lock:
            _enders.discard(end)
