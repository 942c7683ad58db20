"""AutoScale, f = L + sum_j (n (N_j + q_j))^-gamma_j, n fitted too (Kang et al. 2024, arXiv 2407.20177)."""

import numpy as np
from scipy.optimize import least_squares

from olmix_core.mixture import Array
from olmix_core.surrogate.families.regressors import regressor_family
from olmix_core.surrogate.refits import Predictor, Regressor
from olmix_core.surrogate.registry import FAMILIES

_LEAST_OFFSET = 1e-12
_EVALUATIONS = 200  # of the law and its slopes


def autoscale(X: Array, y: Array, weights: Array) -> Predictor:
    """Fit power laws in the tokens of each leaf, offset by what the other leaves are worth to it.

    Args:
        X: [K, m] mixtures.
        y: [K] BPB.
        weights: [K] weights > 0 of the runs.

    Returns:
        A predictor of mixtures [n, m].
    """
    m, root = X.shape[1], np.sqrt(weights)

    def terms(theta: Array, Q: Array) -> Array:
        logs = theta[-1] + np.log(np.exp(theta[:m]) + np.maximum(Q, 0.0))
        return np.asarray(np.exp(np.clip(-theta[m : 2 * m] * logs, -50.0, 50.0)))

    def predict(theta: Array, Q: Array) -> Array:
        return np.asarray(theta[2 * m] + terms(theta, Q).sum(axis=1))

    def slopes(theta: Array) -> Array:
        offsets, powers = np.exp(theta[:m]), terms(theta, X)
        logs = theta[-1] + np.log(offsets + X)
        gammas = theta[m : 2 * m]
        by_offset = -gammas * powers * offsets / (offsets + X)
        by_scale = -(gammas * powers).sum(axis=1)
        columns = [by_offset, -logs * powers, np.ones((len(X), 1)), by_scale[:, None]]
        return np.asarray(root[:, None] * np.concatenate(columns, axis=1))

    # (log N_j, gamma_j, L, log n)
    start = np.concatenate([np.full(m, -np.log(m)), np.full(m, 0.5), [0.1 * y.min(), 2 * np.log(2 * m)]])
    lower = np.concatenate([np.full(m, np.log(_LEAST_OFFSET)), np.zeros(m + 1), [-20.0]])
    upper = np.concatenate([np.full(m, 20.0), np.full(m, 50.0), [y.min()], [40.0]])

    def residuals(theta: Array) -> Array:
        return np.asarray(root * (predict(theta, X) - y))

    theta = least_squares(residuals, start, slopes, bounds=(lower, upper), max_nfev=_EVALUATIONS).x
    return lambda Q: predict(theta, Q)


FAMILIES.register(regressor_family(Regressor("autoscale", autoscale), "L + sum_j (n (N_j + q_j))^-gamma_j"))
