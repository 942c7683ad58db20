"""Gradient-boosted trees with the settings of RegMix (Liu et al. 2024, arXiv 2407.01492)."""

import numpy as np

from olmix_core.mixture import Array
from olmix_core.surrogate.families.regressors import regressor_family
from olmix_core.surrogate.refits import Predictor, Regressor
from olmix_core.surrogate.registry import FAMILIES


def lightgbm(X: Array, y: Array, weights: Array) -> Predictor:
    """Fit boosted trees.

    Args:
        X: [K, m] mixtures.
        y: [K] BPB.
        weights: [K] weights > 0 of the runs.

    Returns:
        A predictor of mixtures [n, m].
    """
    import lightgbm as package

    settings = {
        "objective": "regression",
        "learning_rate": 0.01,
        "verbosity": -1,
        "seed": 42,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
    }
    trees = package.train(settings, package.Dataset(X, y, weight=weights), num_boost_round=1000)
    return lambda Q: np.asarray(trees.predict(Q, num_threads=1), dtype=np.float64)


FAMILIES.register(
    regressor_family(
        Regressor("lightgbm", lightgbm, is_smooth=False, extra="comparisons"), "gradient-boosted trees, as in RegMix"
    )
)
