"""What a law may predict of each task, and ridges that keep it there.

A law is fitted to few runs, and between and beyond them its exponential can reach any value. Its predictions are kept
within the measured range and a margin as wide as that range on either side: from low - (high - low) to
high + (high - low).

With fewer runs than parameters, a weak ridge lets the law pass through every run, and leave-one-out errors of such a
law say little about mixtures beyond the runs. A ridge is then accepted only if its law stays within the same bounds
where one leaf is raised to twice its largest weight in the runs, the others in proportion.

Shapes: K runs, T tasks, m leaves.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olmix_core.mixture import Array
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.regression.laws import Law
from olmix_core.surrogate.regression.levenberg_marquardt import Problems

MARGIN = 1.0  # of the measured range, on either side
_RAISED = 2.0  # times the largest weight of a leaf
_SLACK = 1e-9  # of the largest value, so that a constant task is not rounded


def prediction_bounds(low: Array, high: Array) -> tuple[Array, Array]:
    """Compute the bounds of predictions.

    Args:
        low: [T] smallest BPB measured.
        high: [T] largest BPB measured.

    Returns:
        [T] smallest and largest BPB that may be predicted.
    """
    margin = MARGIN * (high - low) + _SLACK * np.abs(high)
    return low - margin, high + margin


def measured_bounds(Y: Array, weights: Array) -> tuple[Array, Array]:
    """Compute the bounds of predictions from runs.

    Args:
        Y: [K, T] BPB.
        weights: [K, T] weights of the runs; those of weight 0 do not count.

    Returns:
        [T] smallest and largest BPB that may be predicted.
    """
    low = np.min(np.where(weights > 0, Y, np.inf), axis=0)
    high = np.max(np.where(weights > 0, Y, -np.inf), axis=0)
    return prediction_bounds(low, high)


def estimated_bounds(fitted: Array, weights: Array, noise: Array) -> tuple[Array, Array]:
    """Estimate the bounds of predictions from a fit whose measurements are not at hand.

    Args:
        fitted: [K, T] predictions of the runs.
        weights: [K, T] weights of the runs; those of weight 0 do not count.
        noise: [T] standard deviation of the runs around the law.

    Returns:
        [T] smallest and largest BPB that may be predicted.
    """
    low = np.min(np.where(weights > 0, fitted, np.inf), axis=0)
    high = np.max(np.where(weights > 0, fitted, -np.inf), axis=0)
    return prediction_bounds(low - 2 * noise, high + 2 * noise)


def is_underdetermined(runs: int, leaves: int) -> bool:
    """Check whether there are fewer runs than parameters of a task, (c, b, v).

    Args:
        runs: Number of runs.
        leaves: Number of leaves.

    Returns:
        True if so.
    """
    return runs < leaves + 2


@dataclass(frozen=True)
class RidgeGuard:
    """Mixtures where a law must stay within bounds for its ridge to be accepted.

    Attributes:
        features: [n, p] features of the mixtures.
        low: [B] bounds of each regression.
        high: [B]
    """

    features: Array
    low: Array
    high: Array

    def rejects(self, theta: Array) -> NDArray[np.bool_]:
        """Check laws.

        Args:
            theta: [B, p + 2] parameters (c, b, v).

        Returns:
            [B] True if a law leaves its bounds.
        """
        exponent = np.minimum(self.features @ theta[:, 2:].T + theta[:, 1], 50.0)
        predicted = theta[:, 0] + np.exp(exponent)
        return np.asarray(((predicted < self.low) | (predicted > self.high)).any(axis=0))


def ridge_guard(evidence: SwarmData, law: Law, problems: Problems) -> RidgeGuard:
    """State the guard of regressions.

    Args:
        evidence: The runs.
        law: Form of the law.
        problems: The regressions of some tasks on these runs; levels of other swarms are the last columns of the
            design.

    Returns:
        Mixtures in which one leaf is raised, for each leaf that is in a run, and the bounds of the tasks.
    """
    mean, largest = evidence.X.mean(axis=0), evidence.X.max(axis=0)
    raised = np.minimum(1.0, _RAISED * largest)
    others = np.where(np.eye(len(mean), dtype=bool), 0.0, mean)  # row j: the mean mixture without leaf j
    total = others.sum(axis=1, keepdims=True)
    mixtures = (1 - raised)[:, None] * np.divide(others, total, out=np.zeros_like(others), where=total > 0)
    mixtures += np.diag(raised)
    features = law.features(mixtures[largest > 0])
    levels = problems.design.shape[1] - features.shape[1]
    return RidgeGuard(np.pad(features, [(0, 0), (0, levels)]), *measured_bounds(problems.Y, problems.weights))
