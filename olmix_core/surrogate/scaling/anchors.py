"""Anchors: runs at other scales than that of the swarm."""

from dataclasses import dataclass

import numpy as np

from olmix_core.errors import FitError
from olmix_core.mixture import Array
from olmix_core.serialization import JsonMapping
from olmix_core.surrogate.scaling.scale import Scale


@dataclass(frozen=True)
class Anchors:
    """A runs over the m leaves and T tasks of a law, at any scale.

    Attributes:
        X: [A, m] mixtures.
        Y: [A, T] measured BPB; NaN where a run was not evaluated.
        scales: [A] scales of the runs.

    Raises:
        FitError: Shapes disagree, or a value is no BPB.
    """

    X: Array
    Y: Array
    scales: tuple[Scale, ...]

    def __post_init__(self) -> None:
        if not len(self.X) == len(self.Y) == len(self.scales):
            raise FitError(
                f"anchors have {len(self.X)} mixtures, {len(self.Y)} rows of BPB and {len(self.scales)} scales;"
                " expected one of each per run"
            )
        if not (np.isfinite(self.X).all() and (self.X >= 0).all()):
            raise FitError("an anchor has a weight that is not a finite number >= 0")
        if np.isinf(self.Y).any() or (self.Y <= 0).any():
            raise FitError("an anchor has a BPB that is not a finite number > 0")

    def to_json(self) -> JsonMapping:
        """Write the anchors as JSON.

        Returns:
            Plain JSON values; a BPB that was not measured is null.
        """
        return {
            "mixtures": self.X.tolist(),
            "bpb": [[None if np.isnan(value) else float(value) for value in row] for row in self.Y],
            "scales": [scale.to_json() for scale in self.scales],
        }

    @classmethod
    def none(cls, leaves: int, tasks: int) -> "Anchors":
        """Make no anchors.

        Args:
            leaves: Number of leaves m.
            tasks: Number of tasks T.

        Returns:
            Anchors of 0 runs.
        """
        return cls(np.empty((0, leaves)), np.empty((0, tasks)), ())

    def canonical(self) -> "Anchors":
        """Sort by scale, mixture and BPB, so that the order of the runs changes nothing that is learnt from them.

        Returns:
            The same runs.
        """
        sizes = np.array([(scale.parameters, scale.tokens) for scale in self.scales]).reshape(-1, 2)
        order = np.lexsort(np.hstack([sizes, self.X, self.Y]).T[::-1])
        return Anchors(self.X[order], self.Y[order], tuple(self.scales[k] for k in order))
