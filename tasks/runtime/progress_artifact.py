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

    Args:
        tracked: The progress of the run.

    Returns:
        Percent done, by the weights of the steps, and in words.
    """
    percent, steps = _percent(tracked), tracked.steps
    training = steps.get(max(STEPS, key=lambda stage: stage.weight).name)
    if training is None or training.is_done:
        running = [f"{name} {step.done} of {step.expected}" for name, step in steps.items() if not step.is_done]
        return percent, ", ".join(running) or ("done" if percent == 100.0 else "between steps")
    words = (
        f"proxies: {training.executed} trained, {training.cached} cached, {len(training.parts)} running,"
        f" {max(0, training.expected - training.done - len(training.parts))} to go"
    )
    if training.speed:
        words += f"; {training.speed:,.0f} tokens/s"
    seconds = training.seconds_left()
    return percent, words if seconds is None else f"{words}; {duration(seconds)} left"


def _percent(tracked: RunProgress) -> float:
    """Percent done; a step that was passed over is done."""
    stages = [stage for stage in STEPS if not stage.optional]
    reached = max((number for number, stage in enumerate(stages) if stage.name in tracked.steps), default=0)
    done = 0.0
    for number, stage in enumerate(stages):
        step = tracked.steps.get(stage.name)
        if step is None:
            done += stage.weight if number < reached else 0.0
        else:
            done += stage.weight * (min(1.0, step.parts_done / step.expected) if step.expected else 1.0)
    return 100.0 * done / sum(stage.weight for stage in stages)
