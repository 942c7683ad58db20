"""BiMix, f = sum_j F_j q_j^-alpha_j with F, alpha >= 0 (Ge et al. 2024, arXiv 2405.14908), summed over leaves."""

import numpy as np
from scipy.optimize import least_squares

from olmix_core.mixture import Array
from olmix_core.surrogate.families.regressors import regressor_family
from olmix_core.surrogate.refits import Predictor, Regressor
from olmix_core.surrogate.registry import FAMILIES

_LEAST_WEIGHT = 1e-12  # keeps q^-alpha finite at q = 0
_LARGEST = 1e6
_EVALUATIONS = 200  # of the law and its slopes


def bimix(X: Array, y: Array, weights: Array) -> Predictor:
    """Fit a sum of power laws, one per leaf.

    Args:
        X: [K, m] mixtures.
        y: [K] BPB.
        weights: [K] weights > 0 of the runs.

    Returns:
        A predictor of mixtures [n, m].
    """
    m = X.shape[1]
    logs, root = np.log(np.maximum(X, _LEAST_WEIGHT)), np.sqrt(weights)

    def terms(theta: Array, logs: Array) -> Array:
        return np.asarray(theta[:m] * np.exp(np.minimum(-logs * theta[m:], 50.0)))

    def slopes(theta: Array) -> Array:
        powers = np.exp(np.minimum(-logs * theta[m:], 50.0))
        return np.asarray(root[:, None] * np.concatenate([powers, -theta[:m] * powers * logs], axis=1))

    start = np.concatenate([np.full(m, y.mean() / m), np.full(m, 0.1)])

    def residuals(theta: Array) -> Array:
        return np.asarray(root * (terms(theta, logs).sum(axis=1) - y))

    theta = least_squares(residuals, start, slopes, bounds=(0.0, _LARGEST), max_nfev=_EVALUATIONS).x
    return lambda Q: np.asarray(terms(theta, np.log(np.maximum(Q, _LEAST_WEIGHT))).sum(axis=1))


FAMILIES.register(regressor_family(Regressor("bimix", bimix), "sum_j F_j q_j^-alpha_j"))
