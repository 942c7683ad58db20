"""Weights of tasks in the objective, the weighted mean BPB."""

from collections.abc import Sequence

import numpy as np

from olmix_core.errors import FitError
from olmix_core.mixture import Array


def normalised(task_weights: Array | Sequence[float] | None, tasks: Sequence[str]) -> Array:
    """Scale task weights to sum to 1.

    Args:
        task_weights: [T] numbers >= 0; None means equal weights.
        tasks: [T] names of the tasks.

    Returns:
        [T] weights that sum to 1.

    Raises:
        FitError: The weights have another shape, are negative or not finite, or are all 0.
    """
    if task_weights is None:
        return np.full(len(tasks), 1.0 / len(tasks))
    weights = np.asarray(task_weights, dtype=np.float64)
    usable = weights.shape == (len(tasks),) and np.isfinite(weights).all() and (weights >= 0).all()
    if not usable or weights.sum() <= 0:
        raise FitError(f"task weights must be {len(tasks)} numbers >= 0, not all 0; found {weights.tolist()}")
    shares: Array = weights / weights.sum()
    return shares


def family_weights(members: Sequence[int], task_weights: Array) -> Array:
    """Weigh the tasks of one family as the objective does, or equally where they weigh nothing there.

    Args:
        members: Positions of the family's tasks.
        task_weights: [T] weights in the objective.

    Returns:
        [T] weights that sum to 1; 0 outside the family.
    """
    weights = np.zeros_like(task_weights)
    weights[list(members)] = task_weights[list(members)]
    if not weights.any():
        weights[list(members)] = 1.0
    shares: Array = weights / weights.sum()
    return shares
