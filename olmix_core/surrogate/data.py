"""The data of a fit: a mixture per run, and its bits per byte (BPB) on each task.

Checked on construction: unique ids, mixtures on the simplex, finite BPB > 0, or NaN where a run was not evaluated. A
fit sorts rows and columns by id first, so their order changes no result.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olmix_core.errors import FitError
from olmix_core.mixture import Array

_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True)
class SwarmData:
    """K proxy runs over m leaves, evaluated on T tasks.

    Attributes:
        X: [K, m] mixtures; rows sum to 1.
        Y: [K, T] BPB; NaN where a run was not evaluated on a task.
        runs: [K] ids.
        leaves: [m] names (content fingerprints).
        tasks: [T] names.

    Raises:
        FitError: Shapes disagree, an id is repeated, or a value is invalid.
    """

    X: Array
    Y: Array
    runs: tuple[str, ...]
    leaves: tuple[str, ...]
    tasks: tuple[str, ...]

    def __post_init__(self) -> None:
        shape_x, shape_y = (len(self.runs), len(self.leaves)), (len(self.runs), len(self.tasks))
        if self.X.shape != shape_x or self.Y.shape != shape_y:
            raise FitError(
                f"evidence has X {self.X.shape} and Y {self.Y.shape}; expected {shape_x} and "
                f"{shape_y} for {len(self.runs)} runs, {len(self.leaves)} leaves and {len(self.tasks)} tasks"
            )
        if 0 in (*shape_x, *shape_y):
            raise FitError("evidence is empty: a fit needs runs, leaves and tasks")
        for kind, ids in (("run", self.runs), ("leaf", self.leaves), ("task", self.tasks)):
            twice = sorted(name for name, count in Counter(ids).items() if count > 1)
            if twice:
                raise FitError(f"{kind} {twice[0]!r} appears more than once; ids must be unique")
        self._check_mixtures()
        self._check_scores()

    def _check_mixtures(self) -> None:
        bad = np.argwhere(~(np.isfinite(self.X) & (self.X >= 0)))
        if len(bad):
            k, j = bad[0]
            raise FitError(
                f"run {self.runs[k]!r} gives leaf {self.leaves[j]!r} the weight {self.X[k, j]}; "
                "expected a finite number >= 0"
            )
        sums = self.X.sum(axis=1)
        off = np.flatnonzero(np.abs(sums - 1) > _SUM_TOLERANCE)
        if len(off):
            raise FitError(
                f"the mixture of run {self.runs[off[0]]!r} sums to {sums[off[0]]:.9g}, not to 1 "
                f"({len(off)} of {len(sums)} runs); is a leaf missing?"
            )

    def _check_scores(self) -> None:
        bad = np.argwhere(np.isinf(self.Y) | (self.Y <= 0))
        if len(bad):
            k, t = bad[0]
            raise FitError(
                f"run {self.runs[k]!r} has {self.Y[k, t]} on task {self.tasks[t]!r}; expected "
                "bits per byte: a finite number > 0, or NaN where the run was not evaluated"
            )
        for t in np.flatnonzero(np.isnan(self.Y).all(axis=0)):
            raise FitError(f"no run was evaluated on task {self.tasks[t]!r}; drop the task or evaluate it")

    def rows(self, index: NDArray[np.intp]) -> "SwarmData":
        """Select runs.

        Args:
            index: Their positions.

        Returns:
            The data of these runs.
        """
        runs = tuple(self.runs[k] for k in index)
        return SwarmData(self.X[index], self.Y[index], runs, self.leaves, self.tasks)

    def some_tasks(self, index: NDArray[np.intp]) -> "SwarmData":
        """Select tasks.

        Args:
            index: Their positions.

        Returns:
            The data on these tasks.
        """
        return SwarmData(self.X, self.Y[:, index], self.runs, self.leaves, tuple(self.tasks[t] for t in index))

    def canonical(self) -> tuple["SwarmData", NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Sort by id.

        Returns:
            The sorted data, and the orders of rows, leaves and tasks that sort it.
        """
        rows, leaves, tasks = (
            np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.intp)
            for ids in (self.runs, self.leaves, self.tasks)
        )
        evidence = SwarmData(
            self.X[np.ix_(rows, leaves)],
            self.Y[np.ix_(rows, tasks)],
            tuple(self.runs[k] for k in rows),
            tuple(self.leaves[j] for j in leaves),
            tuple(self.tasks[t] for t in tasks),
        )
        return evidence, rows, leaves, tasks
