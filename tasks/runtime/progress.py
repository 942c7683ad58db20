"""What the steps tell of themselves while they run, to whoever watches (the command line's live table)."""

import time
from dataclasses import dataclass, field
from threading import Lock

from olmix_core.proxies.results import TrainingProgress


@dataclass
class StepProgress:
    """Counts of one step.

    `cached` results were found, `executed` ones computed in this run; `reused` is what was carried over from an
    earlier mix as an approximation (ratios) or as evidence, and is not part of the others.
    """

    expected: int = 0
    running: int = 0
    executed: int = 0
    cached: int = 0
    reused: int = 0
    failed: int = 0
    parts: dict[str, float] = field(default_factory=dict)  # what is running -> share of it done
    tokens_per_second: dict[str, float] = field(default_factory=dict)  # of what is running
    began: float | None = None  # when the first results were expected, on the monotonic clock

    @property
    def done(self) -> int:
        return self.executed + self.cached + self.failed

    @property
    def is_done(self) -> bool:
        return self.done >= self.expected

    @property
    def parts_done(self) -> float:
        """Results, with the shares of those that are being computed."""
        return self.done + sum(self.parts.copy().values())

    @property
    def speed(self) -> float:
        """Tokens per second of all that is running; 0 where nobody says."""
        return sum(self.tokens_per_second.copy().values())

    def seconds_left(self) -> float | None:
        """At the speed so far; None until enough has been computed to tell."""
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
        with self._lock:
            step = self._step(name)
            step.expected += count
            step.began = step.began or time.monotonic()

    def started(self, name: str) -> None:
        with self._lock:
            self._step(name).running += 1

    def advanced(self, name: str, part: str, state: TrainingProgress) -> None:
        """Record the progress of a proxy."""
        with self._lock:
            self._step(name).parts[part] = state.done
            self._step(name).tokens_per_second[part] = state.tokens_per_second

    def left(self, name: str, part: str) -> None:
        """`part` runs no longer."""
        with self._lock:
            self._step(name).parts.pop(part, None)
            self._step(name).tokens_per_second.pop(part, None)

    def finished(self, name: str, *, cached: bool = False, failed: bool = False) -> None:
        """A result of step `name` is there, or never will be."""
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
        """A result of step `name` was computed for this run by another flow run."""
        with self._lock:
            self._step(name).executed += 1

    def reuse(self, name: str, count: int) -> None:
        with self._lock:
            self._step(name).reused = count

    def accounting(self) -> dict[str, dict[str, int]]:
        """{step: {executed, cached, reused}} so far."""
        with self._lock:
            return {
                name: {"executed": step.executed, "cached": step.cached, "reused": step.reused}
                for name, step in self.steps.items()
            }


_current = RunProgress()


def begin() -> RunProgress:
    """A run begins: count anew."""
    global _current
    _current = RunProgress()
    return _current


def current() -> RunProgress:
    """The progress of the run that this process is in."""
    return _current
