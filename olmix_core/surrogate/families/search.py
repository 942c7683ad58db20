"""Nearest neighbour: a mixture is as good as the run most like it."""

import numpy as np
from scipy.spatial import cKDTree

from olmix_core.mixture import Array
from olmix_core.surrogate.families.regressors import regressor_family
from olmix_core.surrogate.refits import Predictor, Regressor
from olmix_core.surrogate.registry import FAMILIES


def search(X: Array, y: Array, weights: Array) -> Predictor:  # noqa: ARG001  # the signature of all regressors
    """Predict the BPB of the nearest measured mixture.

    Args:
        X: [K, m] mixtures.
        y: [K] BPB.
        weights: [K] weights > 0 of the runs.

    Returns:
        A predictor of mixtures [n, m].
    """
    tree = cKDTree(X)
    return lambda Q: np.asarray(y[tree.query(Q)[1]], dtype=np.float64)


FAMILIES.register(
    regressor_family(
        Regressor("search", search, is_smooth=False, proposes_runs_only=True),
        "the measured BPB of the nearest run; the proposal is the best run within the limits",
    )
)
