"""From evidence to parameters: how strongly to regularise, and which power of diminishing returns.

A fit minimises, per task, the mean Huber loss of one law plus a ridge on its coefficients (`laws`, `levenberg`). How
strong a ridge is chosen per task, and gamma of diminishing returns for all tasks together, by leave-one-out error in
closed form (`influence`) along a path from strong to weak ridge, each solution starting the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from olmix_core.errors import FitError
from olmix_core.mixture import Array
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.regression.laws import DIMINISHING_RETURNS, LOG_LINEAR, Law, Parameters
from olmix_core.surrogate.regression.levenberg_marquardt import Problems, minimise
from olmix_core.surrogate.regression.multistart import at_mean, lowest, mean_seen
from olmix_core.surrogate.regression.prior import SwarmPrior
from olmix_core.surrogate.regression.uncertainty import leave_one_out

RIDGES = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6, 1e-7, 1e-8)
GAMMAS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
_AS_GOOD = 1.03  # leave-one-out errors within 3 % tell nothing apart
_GAMMA = 0.6  # the usual gamma: the best or near it on the released swarms
_FEWEST_RUNS = 4  # a task seen in fewer is predicted by its mean
_GONE = -50.0  # b of a law that is a constant: exp(-50) is nothing


@dataclass(frozen=True)
class Estimate:
    """Parameters of one law for all tasks of an Evidence, in its order.

    ridge [T]; loss [T] without penalty; errors [K, T] leave-one-out residuals (zero where unknown); levels [T, S] of
    other swarms, where there is a pool;
    score: mean over tasks of the root mean square leave-one-out error as a share of the task's own
    spread; flags: what to know of a task.
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


def estimate(
    evidence: SwarmData,
    law: Law,
    *,
    huber_delta: float,
    ridge: float | None,
    run_weights: Array,
    restarts: bool,
    pool: SwarmPrior | None = None,
) -> Estimate:
    """Fit `law` to every task; `ridge` None chooses it per task by leave-one-out error.

    restarts: also start elsewhere, and keep the lowest minimum. Without ridge a few tasks have several.
    """
    flags, hopeless = _hopeless(evidence)
    fitted = np.flatnonzero(~hopeless)
    Y, weights = _filled(evidence, run_weights)
    total = weights.sum(axis=0)
    means = np.sum(weights * Y, axis=0) / total
    leaves = len(evidence.leaves)
    others = pool.levels(evidence.runs).shape[1] if pool else 0
    theta = np.zeros((len(evidence.tasks), leaves + 2 + others))
    theta[:, 0], theta[:, 1] = means, _GONE
    errors = np.where(weights > 0, means - Y, 0.0)
    spread = np.sqrt(np.sum(weights * errors**2, axis=0) / total)
    ridges, loss = np.zeros((2, len(evidence.tasks)))
    if len(fitted):
        problems = _problems(evidence, law, fitted, huber_delta, run_weights, pool)
        if ridge is None:
            path = _ridge_path(problems)
            problems, warm = path.problems, path.theta
        else:
            problems, warm = _with_ridge(problems, np.full(len(fitted), ridge)), None
        solution = lowest(problems, warm, restarts=restarts)
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


def choose_gamma(
    evidence: SwarmData, *, huber_delta: float, ridge: float | None, run_weights: Array, pool: SwarmPrior | None = None
) -> float:
    """The gamma of diminishing returns with the least leave-one-out error over all tasks.

    Walks the grid GAMMAS downhill from the usual 0.6; the error has one valley in gamma. Few runs cannot tell gammas
    apart, so another than the usual one must do clearly better.
    """
    fitted = np.flatnonzero(~_hopeless(evidence)[1])
    if not len(fitted):
        return _GAMMA

    @cache
    def error(index: int) -> float:
        if not 0 <= index < len(GAMMAS):
            return np.inf
        law = Law(DIMINISHING_RETURNS, GAMMAS[index])
        problems = _problems(evidence, law, fitted, huber_delta, run_weights, pool)
        path = _ridge_path(problems, RIDGES if ridge is None else (ridge,))
        spread = _spread(problems)
        return float(np.mean(_size(path.errors, problems.weights, spread) / spread))

    best = usual = GAMMAS.index(_GAMMA)
    while (better := min((best, best - 1, best + 1), key=error)) != best:
        best = better
    return GAMMAS[best] if error(usual) > _AS_GOOD * error(best) else _GAMMA


def paper_form(estimated: Estimate) -> Parameters:
    """Parameters with b folded into A = b + v for the log-linear law (a mixture sums to 1); else as
    they are.
    """
    p = estimated.parameters
    if estimated.law.family != LOG_LINEAR:
        return p
    return Parameters(p.c, np.zeros_like(p.b), p.v + p.b[:, None])


def _hopeless(evidence: SwarmData) -> tuple[dict[str, str], NDArray[np.bool_]]:
    """Tasks that no law can be fitted to, with the reason; each is predicted by its mean."""
    flags: dict[str, str] = {}
    hopeless = np.zeros(len(evidence.tasks), dtype=bool)
    for t, task in enumerate(evidence.tasks):
        seen = evidence.Y[~np.isnan(evidence.Y[:, t]), t]
        if np.ptp(seen) <= 1e-9 * np.max(seen) and len(seen) >= _FEWEST_RUNS:
            flags[task] = f"constant: {seen[0]:.6g} BPB in every run, whatever the mixture"
        elif len(seen) < _FEWEST_RUNS:
            flags[task] = f"evaluated in {len(seen)} runs only: predicted by their mean"
        hopeless[t] = task in flags
    return flags, hopeless


def _filled(evidence: SwarmData, run_weights: Array) -> tuple[Array, Array]:
    """Y and weights [K, T] with 0 for both where a run was not evaluated."""
    unknown = np.isnan(evidence.Y)
    weights = np.where(unknown, 0.0, run_weights[:, None])
    for t in np.flatnonzero(weights.sum(axis=0) <= 0):
        raise FitError(f"the runs evaluated on task {evidence.tasks[t]!r} all have weight 0")
    return np.where(unknown, 0.0, evidence.Y), weights


def _problems(
    evidence: SwarmData,
    law: Law,
    fitted: NDArray[np.intp],
    huber_delta: float,
    run_weights: Array,
    pool: SwarmPrior | None,
) -> Problems:
    """The regressions of the tasks `fitted`, without ridge."""
    Y, weights = _filled(evidence, run_weights)
    alone = Problems(
        law.features(evidence.X), Y[:, fitted], weights[:, fitted], np.zeros(len(fitted)), huber_delta, law.nonnegative
    )
    if pool is None:
        return alone
    levels = pool.levels(evidence.runs)
    return replace(
        alone,
        design=np.hstack([alone.design, levels]),
        precision=pool.precision(evidence.leaves, levels.shape[1]),
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

    The strongest ridge counts that does about as well as the best.
    """
    theta, spread = at_mean(problems), _spread(problems)
    sizes, thetas, errors = [], [], []
    for ridge in ridges:
        refit = _with_ridge(problems, np.full(len(theta), ridge))
        theta = minimise(refit, theta, iterations=60, tol=1e-7).theta
        thetas.append(theta)
        errors.append(np.where(problems.weights > 0, leave_one_out(refit, theta)[0], 0.0))
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
    """A quick fit under one pool of the tasks that can be fitted.

    errors [K, B] when each run is left out, whatever its weight; seen [K, B] where a run was evaluated; theta where it
    ended.
    """

    problems: Problems
    theta: Array
    errors: Array
    seen: NDArray[np.bool_]


def refit(
    evidence: SwarmData, law: Law, pool: SwarmPrior, *, huber_delta: float, run_weights: Array, before: Refit | None
) -> Refit:
    """Fit under `pool`: along the path of ridges, or with the ridges of a trial `before`, from where it ended."""
    fitted = np.flatnonzero(~_hopeless(evidence)[1])
    problems = _problems(evidence, law, fitted, huber_delta, run_weights * pool.run_weights(evidence.runs), pool)
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
