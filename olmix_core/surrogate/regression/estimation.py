"""Estimation of one law: the parameters of every task, the ridge of each, and the power of diminishing returns.

A fit minimises, per task, the mean Huber loss of the law plus a ridge on its coefficients (`levenberg_marquardt`). The
ridge is selected for each task, and gamma of diminishing returns for all tasks together, by leave-one-out error in
closed form (`uncertainty`) along a path from strong to weak ridge, where each solution starts the next.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from olmix_core.mixture import Array
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.regression.bounds import ridge_guard
from olmix_core.surrogate.regression.laws import DIMINISHING_RETURNS, Law, Parameters
from olmix_core.surrogate.regression.levenberg_marquardt import Problems, Solution
from olmix_core.surrogate.regression.leverage import MOST_LEVERAGE, leave_one_out
from olmix_core.surrogate.regression.multistart import lowest_minimum
from olmix_core.surrogate.regression.noise import noise_covariance
from olmix_core.surrogate.regression.ridge_path import (
    AS_GOOD,
    RIDGES,
    clipped_rms,
    filled,
    regressions,
    ridge_path,
    spread_seen,
    unfittable_tasks,
    with_ridge,
)
from olmix_core.surrogate.settings import FitSettings

GAMMAS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
_GAMMA = 0.6  # default gamma: best or nearly best on the released swarms
CONSTANT = -50.0  # b of a constant law: exp(-50) is negligible


@dataclass(frozen=True)
class Estimate:
    """Parameters of one law for all tasks of a swarm, in its order.

    Attributes:
        law: Form of the law.
        parameters: Parameters of every task.
        levels: [T, S] levels of the other swarms; S = 0 without a prior.
        weights: [K, T] weights of the runs; 0 where a run was not evaluated.
        ridge: [T] ridge.
        loss: [T] mean Huber loss without penalty.
        errors: [K, T] leave-one-out residuals f - y in BPB; 0 where a run was not evaluated.
        noise: [T, T] covariance of the tasks of one run around the law, in BPB^2.
        score: Mean over tasks of the root mean square leave-one-out error as a share of the task's spread.
        flags: {task: reason} for tasks whose prediction needs caution.
    """

    law: Law
    parameters: Parameters
    levels: Array
    weights: Array
    ridge: Array
    loss: Array
    errors: Array
    noise: Array
    score: float
    flags: dict[str, str]


def estimate(evidence: SwarmData, law: Law, settings: FitSettings, run_weights: Array, *, restarts: bool) -> Estimate:
    """Fit a law to every task.

    Args:
        evidence: The runs.
        law: Form of the law.
        settings: Settings of the fit; the prior is used as it is.
        run_weights: [K] weights of the runs.
        restarts: Also start elsewhere and keep the lowest minimum; without ridge a few tasks have several.

    Returns:
        Parameters, errors and flags of all tasks.

    Raises:
        FitError: All runs of a task have weight 0.
    """
    ridge, prior = settings.fixed_ridge, settings.prior
    flags, unfittable = unfittable_tasks(evidence)
    fitted = np.flatnonzero(~unfittable)
    Y, weights = filled(evidence, run_weights)
    total = weights.sum(axis=0)
    means = np.sum(weights * Y, axis=0) / total
    leaves, others = len(evidence.leaves), prior.levels(evidence.runs).shape[1] if prior else 0
    theta = np.zeros((len(evidence.tasks), leaves + 2 + others))
    theta[:, 0], theta[:, 1] = means, CONSTANT
    errors = np.where(weights > 0, means - Y, 0.0)
    spread = np.sqrt(np.sum(weights * errors**2, axis=0) / total)
    residuals, leverage = errors.copy(), weights / total
    ridges, loss = np.zeros((2, len(evidence.tasks)))
    if len(fitted):
        problems = regressions(evidence, law, settings, run_weights, fitted)
        if ridge is None:
            guard = ridge_guard(evidence, law, problems) if settings.guarded else None
            path = ridge_path(problems, guard=guard)
            problems, warm = path.problems, path.theta
        else:
            problems, warm = with_ridge(problems, np.full(len(fitted), ridge)), None
        solution = lowest_minimum(problems, warm, restarts=restarts)
        theta[fitted], ridges[fitted] = solution.theta, problems.ridge
        left_out, leverage[:, fitted] = leave_one_out(problems, solution.theta)
        errors[:, fitted] = np.where(problems.weights > 0, left_out, 0.0)
        residuals[:, fitted] = errors[:, fitted] * (1 - np.minimum(leverage[:, fitted], MOST_LEVERAGE))
        loss[fitted] = solution.loss - problems.penalty(solution.theta)
        for t, reason in _unreliable(problems, solution):
            flags[evidence.tasks[fitted[t]]] = reason
    size = clipped_rms(errors, weights, spread)
    for task, reason in unexplained(evidence, fitted, size, spread).items():
        flags.setdefault(task, reason)
    return Estimate(
        law=law,
        parameters=Parameters(theta[:, 0], theta[:, 1], theta[:, 2 : leaves + 2]),
        levels=theta[:, leaves + 2 :],
        weights=weights,
        ridge=ridges,
        loss=loss,
        errors=errors,
        noise=noise_covariance(residuals, leverage, weights),
        score=float(np.mean(size[fitted] / spread[fitted])) if len(fitted) else 0.0,
        flags=flags,
    )


def unexplained(evidence: SwarmData, fitted: NDArray[np.intp], size: Array, spread: Array) -> dict[str, str]:
    """Find the tasks whose mean predicts left-out runs no worse than the law does.

    Args:
        evidence: The runs.
        fitted: [B] positions of the tasks with a law.
        size: [T] leave-one-out error in BPB.
        spread: [T] scatter of the runs in BPB.

    Returns:
        {task: reason}.
    """
    return {
        evidence.tasks[t]: f"not explained by the mixture: leave-one-out error {size[t]:.3g} BPB, "
        f"scatter of the runs {spread[t]:.3g}"
        for t in fitted[size[fitted] >= spread[fitted]]
    }


def _unreliable(problems: Problems, solution: Solution) -> Iterator[tuple[int, str]]:
    """Problems that are fitted exactly or did not converge, with the reason."""
    parameters = solution.theta.shape[1]
    for t in np.flatnonzero((problems.ridge == 0) & ((problems.weights > 0).sum(axis=0) <= parameters)):
        yield int(t), f"{parameters} parameters and no ridge fit the runs exactly: its error is unknown"
    for t in np.flatnonzero(~solution.converged):
        yield int(t), "the fit did not converge; its law may be off"


def select_gamma(evidence: SwarmData, settings: FitSettings, run_weights: Array) -> float:
    """Select the power of diminishing returns by leave-one-out error over all tasks.

    Walks the grid GAMMAS downhill from the usual 0.6; the error has one valley in gamma. Few runs cannot tell gammas
    apart, so another than the usual one must do clearly better.

    Args:
        evidence: The runs.
        settings: Settings of the fit.
        run_weights: [K] weights of the runs.

    Returns:
        gamma.
    """
    ridge = settings.fixed_ridge
    fitted = np.flatnonzero(~unfittable_tasks(evidence)[1])
    if not len(fitted):
        return _GAMMA

    @cache
    def error(index: int) -> float:
        if not 0 <= index < len(GAMMAS):
            return np.inf
        law = Law(DIMINISHING_RETURNS, GAMMAS[index])
        problems = regressions(evidence, law, settings, run_weights, fitted)
        guard = ridge_guard(evidence, law, problems) if settings.guarded else None
        path = ridge_path(problems, RIDGES if ridge is None else (ridge,), guard)
        spread = spread_seen(problems)
        return float(np.mean(clipped_rms(path.errors, problems.weights, spread) / spread))

    best = usual = GAMMAS.index(_GAMMA)
    while (better := min((best, best - 1, best + 1), key=error)) != best:
        best = better
    return GAMMAS[best] if error(usual) > AS_GOOD * error(best) else _GAMMA


def paper_form(estimated: Estimate) -> Parameters:
    """Write the parameters as in the paper: for the log-linear law A = b + v, since a mixture sums to 1.

    Args:
        estimated: A fit.

    Returns:
        Parameters with b = 0 for the log-linear law; those of the fit for another one.
    """
    p = estimated.parameters
    if estimated.law.gamma is not None:
        return p
    return Parameters(p.c, np.zeros_like(p.b), p.v + p.b[:, None])
