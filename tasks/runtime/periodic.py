"""Calling something every few seconds while something else runs."""

import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeatedly(action: Callable[[], object], seconds: float) -> Iterator[None]:
    """Call `action` in a thread, in the context of the caller, until the block ends.

    Args:
        action: The function to call. The first call comes after `seconds`.
        seconds: Time between calls.

    Yields:
        Nothing; calls are made within the block.
    """
    ended = threading.Event()

    def loop() -> None:
        while not ended.wait(seconds):
            action()

    # Prefect's settings belong to the context.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(loop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
