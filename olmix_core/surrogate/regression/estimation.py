"""Estimation of one law: the parameters of every task, the ridge of each, and the power of diminishing returns.

A fit minimises, per task, the mean Huber loss of the law plus a ridge on its coefficients (`levenberg_marquardt`). The
ridge is selected for each task, and gamma of diminishing returns for all tasks together, by leave-one-out error in
closed form (`uncertainty`) along a path from strong to weak ridge, where each solution starts the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from olmix_core.errors import FitError
from olmix_core.mixture import Array
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.regression.laws import DIMINISHING_RETURNS, Law, Parameters
from olmix_core.surrogate.regression.levenberg_marquardt import Problems, minimise
from olmix_core.surrogate.regression.multistart import at_mean, lowest_minimum, mean_seen
from olmix_core.surrogate.regression.prior import SwarmPrior
from olmix_core.surrogate.regression.uncertainty import leave_one_out
from olmix_core.surrogate.settings import FitSettings

RIDGES = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6, 1e-7, 1e-8)
GAMMAS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
_AS_GOOD = 1.03  # leave-one-out errors within 3 % tell nothing apart
_GAMMA = 0.6  # the usual gamma: the best or near it on the released swarms
_FEWEST_RUNS = 4  # a task seen in fewer is predicted by its mean
_GONE = -50.0  # b of a law that is a constant: exp(-50) is nothing


@dataclass(frozen=True)
class Estimate:
    """Parameters of one law for all tasks of a swarm, in its order.

    Attributes:
        law: form of the law.
        parameters: parameters of every task.
        levels: [T, S] levels of the other swarms; S = 0 without a prior.
        weights: [K, T] weights of the runs; 0 where a run was not evaluated.
        ridge: [T] ridge.
        loss: [T] mean Huber loss without penalty.
        errors: [K, T] leave-one-out residuals f - y in BPB; 0 where a run was not evaluated.
        score: mean over tasks of the root mean square leave-one-out error as a share of the task's spread.
        flags: {task: reason} for tasks whose prediction needs caution.
    """

    law: Law
    parameters: Parameters
    levels: Array
    weights: Array
    ridge: Array
    loss: Array
    errors: Array
    score: float
    flags: dict[str, str]


def estimate(evidence: SwarmData, law: Law, settings: FitSettings, run_weights: Array, *, restarts: bool) -> Estimate:
    """Fit a law to every task.

    Args:
        evidence: the runs.
        law: form of the law.
        settings: settings of the fit; the prior is used as it is.
        run_weights: [K] weights of the runs.
        restarts: also start elsewhere and keep the lowest minimum; without ridge a few tasks have several.

    Returns:
        Parameters, errors and flags of all tasks.

    Raises:
        FitError: all runs of a task have weight 0.
    """
    ridge, prior = settings.fixed_ridge, settings.prior
    flags, unfittable = _unfittable(evidence)
    fitted = np.flatnonzero(~unfittable)
    Y, weights = _filled(evidence, run_weights)
    total = weights.sum(axis=0)
    means = np.sum(weights * Y, axis=0) / total
    leaves = len(evidence.leaves)
    others = prior.levels(evidence.runs).shape[1] if prior else 0
    theta = np.zeros((len(evidence.tasks), leaves + 2 + others))
    theta[:, 0], theta[:, 1] = means, _GONE
    errors = np.where(weights > 0, means - Y, 0.0)
    spread = np.sqrt(np.sum(weights * errors**2, axis=0) / total)
    ridges, loss = np.zeros((2, len(evidence.tasks)))
    if len(fitted):
        problems = _problems(evidence, law, settings, run_weights, fitted)
        if ridge is None:
            path = _ridge_path(problems)
            problems, warm = path.problems, path.theta
        else:
            problems, warm = _with_ridge(problems, np.full(len(fitted), ridge)), None
        solution = lowest_minimum(problems, warm, restarts=restarts)
        theta[fitted], ridges[fitted] = solution.theta, problems.ridge
        errors[:, fitted] = np.where(problems.weights > 0, leave_one_out(problems, solution.theta)[0], 0.0)
        loss[fitted] = solution.loss - problems.penalty(solution.theta)
        parameters = theta.shape[1]
        for t in fitted[(problems.ridge == 0) & ((problems.weights > 0).sum(axis=0) <= parameters)]:
            flags[evidence.tasks[t]] = (
                f"{parameters} parameters and no ridge fit the runs exactly: its error is unknown"
            )
        for t in fitted[~solution.converged]:
            flags[evidence.tasks[t]] = "the fit did not converge; its law may be off"
    size = _size(errors, weights, spread)
    for t in fitted[size[fitted] >= spread[fitted]]:
        flags.setdefault(
            evidence.tasks[t],
            f"not explained by the mixture: leave-one-out error {size[t]:.3g} BPB, scatter of the runs {spread[t]:.3g}",
        )
    return Estimate(
        law=law,
        parameters=Parameters(theta[:, 0], theta[:, 1], theta[:, 2 : leaves + 2]),
        levels=theta[:, leaves + 2 :],
        weights=weights,
        ridge=ridges,
        loss=loss,
        errors=errors,
        score=float(np.mean(size[fitted] / spread[fitted])) if len(fitted) else 0.0,
        flags=flags,
    )


def select_gamma(evidence: SwarmData, settings: FitSettings, run_weights: Array) -> float:
    """Select the power of diminishing returns by leave-one-out error over all tasks.

    Walks the grid GAMMAS downhill from the usual 0.6; the error has one valley in gamma. Few runs cannot tell gammas
    apart, so another than the usual one must do clearly better.

    Args:
        evidence: the runs.
        settings: settings of the fit.
        run_weights: [K] weights of the runs.

    Returns:
        gamma.
    """
    ridge = settings.fixed_ridge
    fitted = np.flatnonzero(~_unfittable(evidence)[1])
    if not len(fitted):
        return _GAMMA

    @cache
    def error(index: int) -> float:
        if not 0 <= index < len(GAMMAS):
            return np.inf
        law = Law(DIMINISHING_RETURNS, GAMMAS[index])
        problems = _problems(evidence, law, settings, run_weights, fitted)
        path = _ridge_path(problems, RIDGES if ridge is None else (ridge,))
        spread = _spread(problems)
        return float(np.mean(_size(path.errors, problems.weights, spread) / spread))

    best = usual = GAMMAS.index(_GAMMA)
    while (better := min((best, best - 1, best + 1), key=error)) != best:
        best = better
    return GAMMAS[best] if error(usual) > _AS_GOOD * error(best) else _GAMMA


def paper_form(estimated: Estimate) -> Parameters:
    """Write the parameters as in the paper: for the log-linear law A = b + v, since a mixture sums to 1.

    Args:
        estimated: a fit.

    Returns:
        Parameters with b = 0 for the log-linear law; those of the fit for another one.
    """
    p = estimated.parameters
    if estimated.law.gamma is not None:
        return p
    return Parameters(p.c, np.zeros_like(p.b), p.v + p.b[:, None])


def _unfittable(evidence: SwarmData) -> tuple[dict[str, str], NDArray[np.bool_]]:
    """Tasks that no law can be fitted to, with the reason, and as a mask [T]; each is predicted by its mean."""
    flags: dict[str, str] = {}
    unfittable = np.zeros(len(evidence.tasks), dtype=bool)
    for t, task in enumerate(evidence.tasks):
        seen = evidence.Y[~np.isnan(evidence.Y[:, t]), t]
        if np.ptp(seen) <= 1e-9 * np.max(seen) and len(seen) >= _FEWEST_RUNS:
            flags[task] = f"constant: {seen[0]:.6g} BPB in every run, whatever the mixture"
        elif len(seen) < _FEWEST_RUNS:
            flags[task] = f"evaluated in {len(seen)} runs only: predicted by their mean"
        unfittable[t] = task in flags
    return flags, unfittable


def _filled(evidence: SwarmData, run_weights: Array) -> tuple[Array, Array]:
    """Y and weights [K, T] with 0 for both where a run was not evaluated."""
    unknown = np.isnan(evidence.Y)
    weights = np.where(unknown, 0.0, run_weights[:, None])
    for t in np.flatnonzero(weights.sum(axis=0) <= 0):
        raise FitError(f"the runs evaluated on task {evidence.tasks[t]!r} all have weight 0")
    return np.where(unknown, 0.0, evidence.Y), weights


def _problems(
    evidence: SwarmData, law: Law, settings: FitSettings, run_weights: Array, fitted: NDArray[np.intp]
) -> Problems:
    """The regressions of the tasks `fitted`, without ridge."""
    Y, weights = _filled(evidence, run_weights)
    alone = Problems(
        law.features(evidence.X),
        Y[:, fitted],
        weights[:, fitted],
        np.zeros(len(fitted)),
        settings.huber_delta,
        law.nonnegative,
    )
    if settings.prior is None:
        return alone
    levels = settings.prior.levels(evidence.runs)
    return replace(
        alone,
        design=np.hstack([alone.design, levels]),
        precision=settings.prior.precision(evidence.leaves, levels.shape[1]),
        signed=levels.shape[1],
    )


def _with_ridge(problems: Problems, ridge: Array) -> Problems:
    """The same problems under another ridge [B]."""
    return replace(problems, ridge=ridge)


def _spread(problems: Problems) -> Array:
    """Standard deviation [B] of the BPB of the runs seen."""
    squares = np.sum(problems.weights * (problems.Y - mean_seen(problems)) ** 2, axis=0)
    return np.asarray(np.sqrt(squares / problems.weights.sum(axis=0)))


def _size(errors: Array, weights: Array, spread: Array) -> Array:
    """Root mean square error [B], single errors counting as twice the task's spread at most."""
    squares = np.sum(weights * np.minimum(errors**2, 4 * spread**2), axis=0)
    return np.asarray(np.sqrt(squares / weights.sum(axis=0)))


@dataclass(frozen=True)
class _Path:
    """The problems with the ridge chosen for each, its solutions [B, p + 2] and their leave-one-out errors [K, B]."""

    problems: Problems
    theta: Array
    errors: Array


def _ridge_path(problems: Problems, ridges: Sequence[float] = RIDGES) -> _Path:
    """Fit under each ridge from strong to weak, each solution starting the next; choose by leave-one-out error.

    Selects the strongest ridge within 3 % of the least error.
    """
    theta, spread = at_mean(problems), _spread(problems)
    sizes, thetas, errors = [], [], []
    for ridge in ridges:
        ridged = _with_ridge(problems, np.full(len(theta), ridge))
        theta = minimise(ridged, theta, iterations=60, tol=1e-7).theta
        thetas.append(theta)
        errors.append(np.where(problems.weights > 0, leave_one_out(ridged, theta)[0], 0.0))
        sizes.append(_size(errors[-1], problems.weights, spread))
    near = np.array(sizes) <= _AS_GOOD * np.min(sizes, axis=0)
    best, tasks = np.argmax(near, axis=0), np.arange(len(theta))
    return _Path(
        problems=_with_ridge(problems, np.asarray(ridges)[best]),
        theta=np.array(thetas)[best, tasks],
        errors=np.array(errors)[best, :, tasks].T,
    )


@dataclass(frozen=True)
class Refit:
    """A quick fit under one prior of the tasks that can be fitted.

    Attributes:
        problems: the regressions.
        theta: [B, p + 2] parameters reached.
        errors: [K, B] leave-one-out errors of all runs, whatever their weight.
        seen: [K, B] where a run was evaluated.
    """

    problems: Problems
    theta: Array
    errors: Array
    seen: NDArray[np.bool_]


def refit(
    evidence: SwarmData, law: Law, settings: FitSettings, prior: SwarmPrior, run_weights: Array, before: Refit | None
) -> Refit:
    """Fit under a prior, quickly.

    Args:
        evidence: the runs.
        law: form of the law.
        settings: settings of the fit; its prior is not used.
        prior: the prior to fit under.
        run_weights: [K] weights of the runs, without those of the prior.
        before: an earlier fit whose ridges are kept and whose parameters start this one; None follows the path of
            ridges.

    Returns:
        The fit.
    """
    fitted = np.flatnonzero(~_unfittable(evidence)[1])
    weights = run_weights * prior.run_weights(evidence.runs)
    problems = _problems(evidence, law, replace(settings, prior=prior), weights, fitted)
    seen = ~np.isnan(evidence.Y[:, fitted])
    if before is None:
        path = _ridge_path(problems)
        return Refit(path.problems, path.theta, leave_one_out(path.problems, path.theta)[0], seen)
    problems = _with_ridge(problems, before.problems.ridge)
    start = np.zeros((len(fitted), problems.design.shape[1] + 2))
    shared = min(start.shape[1], before.theta.shape[1])
    start[:, :shared] = before.theta[:, :shared]
    theta = minimise(problems, start, iterations=40, tol=1e-6).theta
    return Refit(problems, theta, leave_one_out(problems, theta)[0], seen)
