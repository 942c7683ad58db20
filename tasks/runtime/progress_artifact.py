"""The progress of a run as an artifact in the Prefect UI: proxies done, running and to go, tokens per second, time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from olmix_core.formatting import duration
from tasks.runtime.periodic import repeatedly
from tasks.runtime.progress import RunProgress
from tasks.runtime.registry import STEPS

SECONDS = 3.0  # between updates
TRAINING = "train"  # the step that takes longest
TRAINING_BEGINS, TRAINING_ENDS = 5.0, 90.0  # percent of a run


@contextmanager
def shown(name: str, tracked: RunProgress) -> Iterator[None]:
    """Keep the artifact progress-<name> of the flow run up to date while the block lasts.

    Args:
        name: Name of the mix.
        tracked: The progress of the run.

    Yields:
        None.
    """
    # Typed as possibly a coroutine, which it is only inside an event loop.
    artifact = cast(UUID, create_progress_artifact(0.0, key=f"progress-{name}", description="starting"))
    last: tuple[float, str] | None = None

    def update() -> None:
        nonlocal last
        current = state(tracked)
        if current != last:
            update_progress_artifact(artifact, progress=current[0], description=current[1])
            last = current

    with repeatedly(update, SECONDS):
        yield
    update()


def state(tracked: RunProgress) -> tuple[float, str]:
    """Summarise the progress of a run.

    Training takes longest: it counts from 5 to 90 %, and the steps after it share the rest.

    Args:
        tracked: The progress of the run.

    Returns:
        Percent done, and in words.
    """
    steps = tracked.steps
    running = ", ".join(f"{name} {step.done} of {step.expected}" for name, step in steps.items() if not step.is_done)
    train = steps.get(TRAINING)
    if train is None:
        return TRAINING_BEGINS if "plan" in steps else 0.0, running or "between steps"
    if train.is_done:
        later = [stage.name for stage in STEPS.following(TRAINING) if stage.name != "publish"]
        ended = sum(name in steps and steps[name].is_done for name in later)
        percent = TRAINING_ENDS + (100.0 - TRAINING_ENDS) * ended / len(later)
        return percent, running or ("done" if ended == len(later) else "between steps")
    words = (
        f"proxies: {train.executed} trained, {train.cached} cached, {len(train.parts)} running,"
        f" {max(0, train.expected - train.done - len(train.parts))} to go"
    )
    if train.speed:
        words += f"; {train.speed:,.0f} tokens/s"
    left = train.seconds_left()
    percent = TRAINING_BEGINS + (TRAINING_ENDS - TRAINING_BEGINS) * min(1.0, train.parts_done / train.expected)
    return percent, words if left is None else f"{words}; {duration(left)} left"
