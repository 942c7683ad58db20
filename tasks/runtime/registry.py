"""The steps of a run, in the order of their chain; read by tables, progress and reports.

The modules of `tasks.steps` are registered when that package is imported. Nothing here imports Prefect.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of a run with a name of its own in tables and progress.

    Attributes:
        name: Name in records, keys and tables.
        title: What it does, in a few words.
        after: Name of the stage before it; None for the first.
        optional: Whether only some runs have it.
        weight: Its share in the progress of a run, relative to the other stages.
    """

    name: str
    title: str
    after: str | None = None
    optional: bool = False
    weight: float = 1.0


class StageRegistry:
    """Stages by name, which iterate in the order of the chain."""

    def __init__(self) -> None:
        self._stages: dict[str, Stage] = {}

    def register(self, stage: Stage) -> None:
        """Add a stage.

        Args:
            stage: The stage; the same one again changes nothing.

        Raises:
            ValueError: Another stage has its name.
        """
        if self._stages.setdefault(stage.name, stage) is not stage:
            raise ValueError(f"step {stage.name!r} is declared twice; expected a name of its own for each")

    def __getitem__(self, name: str) -> Stage:
        return self._stages[name]

    def __iter__(self) -> Iterator[Stage]:
        """Iterate in the order of the chain; of two that follow the same stage, the one with less after it first."""
        first = [stage for stage in self._stages.values() if stage.after not in self._stages]
        for stage in first:
            yield from self._branch(stage)

    def following(self, name: str) -> list[Stage]:
        """Return the stages that every run has after a given one.

        Args:
            name: Name of a stage.

        Returns:
            The stages after it that are not optional, in order.
        """
        return [stage for stage in list(self._branch(self._stages[name]))[1:] if not stage.optional]

    def _branch(self, stage: Stage) -> Iterator[Stage]:
        yield stage
        branches = [list(self._branch(other)) for other in self._stages.values() if other.after == stage.name]
        for branch in sorted(branches, key=lambda branch: (len(branch), branch[0].name)):
            yield from branch


STEPS = StageRegistry()
