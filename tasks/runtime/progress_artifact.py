"""The progress of a run as an artifact in the Prefect UI: proxies done, running and to go, tokens per second, time."""

import contextvars
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from olmix_core.formatting import duration
from tasks.runtime.progress import RunProgress

SECONDS = 3.0  # between updates
AFTER_TRAINING = ("evaluate", "evidence", "fit", "propose")


@contextmanager
def shown(name: str, tracked: RunProgress) -> Iterator[None]:
    """While it lasts, the artifact progress-<name> of the flow run says how far the run is."""
    # Its type says that it might be a coroutine, which it is only where there is an event loop.
    artifact = cast(UUID, create_progress_artifact(0.0, key=f"progress-{name}", description="starting"))
    over = threading.Event()

    def tell() -> None:
        told: tuple[float, str] | None = None
        while not over.wait(SECONDS):
            now = state(tracked)
            if now != told:
                update_progress_artifact(artifact, progress=now[0], description=now[1])
                told = now

    # Prefect's settings are those of the context.
    teller = threading.Thread(target=contextvars.copy_context().run, args=(tell,), daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()
    percent, words = state(tracked)
    update_progress_artifact(artifact, progress=percent, description=words)


def state(tracked: RunProgress) -> tuple[float, str]:
    """Percent done, and in words. Training takes longest: it counts from 5 to 90 %, what follows it 2.5 % a step."""
    steps = tracked.steps
    running = ", ".join(f"{name} {step.done} of {step.expected}" for name, step in steps.items() if not step.is_done)
    train = steps.get("train")
    if train is None:
        return 5.0 if "plan" in steps else 0.0, running or "between steps"
    if train.is_done:
        ended = sum(name in steps and steps[name].is_done for name in AFTER_TRAINING)
        return 90.0 + 2.5 * ended, running or ("done" if ended == len(AFTER_TRAINING) else "between steps")
    words = (
        f"proxies: {train.executed} trained, {train.cached} cached, {len(train.parts)} running,"
        f" {max(0, train.expected - train.done - len(train.parts))} to go"
    )
    if train.speed:
        words += f"; {train.speed:,.0f} tokens/s"
    left = train.seconds_left()
    percent = 5.0 + 85.0 * min(1.0, train.parts_done / train.expected)
    return percent, words if left is None else f"{words}; {duration(left)} left"
