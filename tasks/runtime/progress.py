"""The progress of a run, as its steps report it and as tables and artifacts show it."""

import time
from dataclasses import dataclass, field
from threading import Lock

from olmix_core.proxies.results import TrainingProgress


@dataclass
class StepProgress:
    """Counts of one step.

    Attributes:
        expected: Results that the run needs.
        running: Results that are being computed.
        executed: Results computed in this run.
        cached: Results found in the store.
        reused: What was carried over from an earlier mix as an approximation (ratios) or as evidence; not part of the
            others.
        failed: Results that could not be computed.
        parts: {running part: share of it done}.
        tokens_per_second: {running part: its speed}.
        began: When the first results were expected, on the monotonic clock.
    """

    expected: int = 0
    running: int = 0
    executed: int = 0
    cached: int = 0
    reused: int = 0
    failed: int = 0
    parts: dict[str, float] = field(default_factory=dict)
    tokens_per_second: dict[str, float] = field(default_factory=dict)
    began: float | None = None

    @property
    def done(self) -> int:
        """Results that are there, or never will be."""
        return self.executed + self.cached + self.failed

    @property
    def is_done(self) -> bool:
        """Whether no result is missing."""
        return self.done >= self.expected

    @property
    def parts_done(self) -> float:
        """Results, with the shares of those that are being computed."""
        return self.done + sum(self.parts.copy().values())

    @property
    def speed(self) -> float:
        """Tokens per second of all running parts; 0 where it is not known."""
        return sum(self.tokens_per_second.copy().values())

    def seconds_left(self) -> float | None:
        """Estimate the time left, at the speed so far.

        Returns:
            Seconds; None until enough has been computed.
        """
        fresh = self.parts_done - self.cached
        if self.began is None or fresh <= 0.5:
            return None
        return (time.monotonic() - self.began) / fresh * (self.expected - self.parts_done)


class RunProgress:
    """The progress of a run, by step, in the order in which steps begin. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.steps: dict[str, StepProgress] = {}

    def _step(self, name: str) -> StepProgress:
        return self.steps.setdefault(name, StepProgress())

    def expect(self, name: str, count: int) -> None:
        """Record that results will be needed.

        Args:
            name: Name of the step.
            count: Number of results.
        """
        with self._lock:
            step = self._step(name)
            step.expected += count
            step.began = step.began or time.monotonic()

    def started(self, name: str) -> None:
        """Record that a result is being computed.

        Args:
            name: Name of the step.
        """
        with self._lock:
            self._step(name).running += 1

    def advanced(self, name: str, part: str, state: TrainingProgress) -> None:
        """Record how far a part is.

        Args:
            name: Name of the step.
            part: Label of the part.
            state: Its progress.
        """
        with self._lock:
            self._step(name).parts[part] = state.done
            self._step(name).tokens_per_second[part] = state.tokens_per_second

    def left(self, name: str, part: str) -> None:
        """Record that a part is no longer running.

        Args:
            name: Name of the step.
            part: Label of the part.
        """
        with self._lock:
            self._step(name).parts.pop(part, None)
            self._step(name).tokens_per_second.pop(part, None)

    def finished(self, name: str, *, cached: bool = False, failed: bool = False) -> None:
        """Record that a result is there, or never will be.

        Args:
            name: Name of the step.
            cached: Whether it was found in the store.
            failed: Whether it could not be computed.
        """
        with self._lock:
            step = self._step(name)
            if cached:
                step.cached += 1
                return
            step.running = max(0, step.running - 1)
            if failed:
                step.failed += 1
            else:
                step.executed += 1

    def elsewhere(self, name: str) -> None:
        """Record that a result was computed for this run by another flow run.

        Args:
            name: Name of the step.
        """
        with self._lock:
            self._step(name).executed += 1

    def reuse(self, name: str, count: int) -> None:
        """Record what was carried over from an earlier mix.

        Args:
            name: Name of the step.
            count: Number of things.
        """
        with self._lock:
            self._step(name).reused = count

    def accounting(self) -> dict[str, dict[str, int]]:
        """Return the counts so far.

        Returns:
            {step: {executed, cached, reused}}.
        """
        with self._lock:
            return {
                name: {"executed": step.executed, "cached": step.cached, "reused": step.reused}
                for name, step in self.steps.items()
            }


_current = RunProgress()


def begin() -> RunProgress:
    """Begin a run.

    Returns:
        Its progress, which `current` returns from now on.
    """
    global _current
    _current = RunProgress()
    return _current


def current() -> RunProgress:
    """Return the progress of the run of this process.

    Returns:
        The progress.
    """
    return _current
