"""The responses that a shared prior is learnt from: log(y - c) of tasks, centred over the runs.

Shapes: K runs, p columns of the design, B tasks that were evaluated on the same runs, T tasks, S other swarms.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from olmix_core.mixture import Array
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.regression.marginal_likelihood import Moments
from olmix_core.surrogate.regression.prior import SwarmPrior


@dataclass(frozen=True)
class Responses:
    """Tasks that were evaluated on the same runs, in logs.

    Attributes:
        tasks: [B] their positions.
        design: [K, p] the design, centred under the weights.
        centre: [p] the means that were taken off.
        Z: [K, B] log(y - c), centred under the weights.
        means: [B] the means that were taken off.
        weights: [K].
        floors: [B] c in BPB.
    """

    tasks: NDArray[np.intp]
    design: Array
    centre: Array
    Z: Array
    means: Array
    weights: Array
    floors: Array

    @property
    def moments(self) -> Moments:
        """Their sums over runs."""
        return Moments.of(self.design, self.Z, self.weights)

    @property
    def log_slopes(self) -> Array:
        """[B] sum of log(y - c) over as many runs as there are degrees of freedom: the Jacobian of the logs."""
        return np.asarray(self.means * self.moments.freedom, dtype=np.float64)


def level_indicators(prior: SwarmPrior | None, runs: Sequence[str]) -> Array:
    """Indicate the other swarms of runs.

    Args:
        prior: The swarms of the runs; None where all are of one.
        runs: [K] ids.

    Returns:
        [K, S] 1 where a run belongs to an other swarm.
    """
    return np.empty((len(runs), 0)) if prior is None else replace(prior, level_precision=1.0).levels(runs)


def in_logs(
    evidence: SwarmData, design: Array, weights: Array, tasks: NDArray[np.intp], shares: Array
) -> list[Responses]:
    """Group tasks by the runs that they were evaluated on, and take logs.

    Args:
        evidence: The runs.
        design: [K, p].
        weights: [K, T] weights of the runs; 0 where a run was not evaluated.
        tasks: [B] positions of the tasks that can be fitted.
        shares: [T] c as a share of the least BPB.

    Returns:
        The groups.
    """
    patterns: dict[bytes, list[int]] = {}
    for t in tasks:
        patterns.setdefault(weights[:, t].tobytes(), []).append(int(t))
    groups = []
    for members in patterns.values():
        columns = np.array(members, dtype=np.intp)
        weight = weights[:, columns[0]].copy()
        share = weight / weight.sum()
        Y = evidence.Y[:, columns]
        floors = shares[columns] * np.min(np.where(weight[:, None] > 0, Y, np.inf), axis=0)
        Z = np.where(weight[:, None] > 0, np.log(np.maximum(Y - floors, 1e-9)), 0.0)
        centre, means = share @ design, share @ Z
        groups.append(Responses(columns, design - centre, centre, Z - means, means, weight, floors))
    return groups
