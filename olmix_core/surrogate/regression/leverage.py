"""Leverage and leave-one-out errors of a fit, without refitting.

At a solution of the regressions of `levenberg_marquardt`, J_kt = d f_t / d (c, b, v) at run k. The leave-one-out error
of run k is r_kt / (1 - h_kt), with the weighted hat value h_kt = J_kt' (sum w J J' + ridge)^-1 J_kt w_k.

Shapes: K runs, B regressions, T tasks, m features, n points.
"""

import numpy as np

from olmix_core.mixture import Array
from olmix_core.surrogate.regression.levenberg_marquardt import Problems

MOST_LEVERAGE = (
    1 - 1e-6
)  # larger leverages are clipped: the run determines its own prediction, and its error counts as very large


def leave_one_out(problems: Problems, theta: Array) -> tuple[Array, Array]:
    """Compute leave-one-out residuals in closed form.

    Coefficients held at zero stay there; Huber weights are those of the solution.

    Args:
        problems: B regressions.
        theta: [B, m + 2] their solutions.

    Returns:
        Residuals f - y [K, B] in BPB, and leverages [K, B].
    """
    law_part = np.minimum(problems.design @ theta[:, 2:].T + theta[:, 1], 50.0)
    decay = np.exp(law_part)
    residual = theta[:, 0] + decay - problems.Y
    share = problems.weights / problems.weights.sum(axis=0)
    weight = share * np.minimum(1.0, problems.delta / np.maximum(np.abs(residual), problems.delta))
    derivatives = jacobian(problems.design, decay)
    held = np.zeros(theta.shape, dtype=bool)
    held[:, problems.bounded] = theta[:, problems.bounded] <= 0
    derivatives = np.where(held[:, None, :], 0.0, derivatives)
    penalty = np.zeros((*theta.shape, theta.shape[1]))
    penalty[:, 2:, 2:] = problems.ridge[:, None, None] * problems.penalty_matrix
    penalty = np.where(held[:, :, None] | held[:, None, :], 0.0, penalty)
    penalty += held[:, :, None] * np.eye(theta.shape[1])
    information = information_matrix(derivatives, weight, penalty)
    solved = np.linalg.solve(information, derivatives.transpose(0, 2, 1)).transpose(0, 2, 1)
    leverage = np.sum(solved * derivatives, axis=2).T * weight
    return residual / (1 - np.minimum(leverage, MOST_LEVERAGE)), leverage


def jacobian(features: Array, decay: Array) -> Array:
    """Differentiate a law by its parameters.

    Args:
        features: phi, [n, m] or [T, n, m].
        decay: [n, T] exp(b + phi . v).

    Returns:
        [T, n, m + 2] d f_t / d (c, b, v).
    """
    ones = np.ones((*features.shape[:-1], 1))
    inner = decay.T[:, :, None] * np.concatenate([ones, features], axis=-1)
    return np.concatenate([np.ones((*inner.shape[:2], 1)), inner], axis=2)


def information_matrix(derivatives: Array, weight: Array, penalty: Array) -> Array:
    """Compute sum_k w_kt J_kt J_kt' + penalty_t, with a tiny addition that makes it invertible.

    Args:
        derivatives: [T, K, m + 2] J.
        weight: [K, T].
        penalty: [T, m + 2, m + 2].

    Returns:
        [T, m + 2, m + 2].
    """
    information = (derivatives.transpose(0, 2, 1) * weight.T[:, None, :]) @ derivatives
    diagonal = np.arange(information.shape[1])
    information[:, diagonal, diagonal] *= 1 + 1e-9
    information[:, diagonal, diagonal] += 1e-12
    return np.asarray(information + penalty, dtype=np.float64)
