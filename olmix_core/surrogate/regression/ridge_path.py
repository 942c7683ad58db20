"""Regressions of the tasks of a swarm along a path of ridges; the ridge of each is selected by leave-one-out error."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from olmix_core.errors import FitError
from olmix_core.mixture import Array
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.regression.bounds import RidgeGuard, ridge_guard
from olmix_core.surrogate.regression.laws import Law
from olmix_core.surrogate.regression.levenberg_marquardt import Problems, minimise
from olmix_core.surrogate.regression.leverage import leave_one_out
from olmix_core.surrogate.regression.multistart import at_mean, mean_seen
from olmix_core.surrogate.regression.prior import SwarmPrior
from olmix_core.surrogate.settings import FitSettings

RIDGES = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6, 1e-7, 1e-8)
AS_GOOD = 1.03  # leave-one-out errors within 3 % are not told apart
_FEWEST_RUNS = 4  # a task seen in fewer is predicted by its mean


def unfittable_tasks(evidence: SwarmData) -> tuple[dict[str, str], NDArray[np.bool_]]:
    """Find the tasks that no law can be fitted to; each is predicted by its mean.

    Args:
        evidence: The runs.

    Returns:
        {task: reason}, and a mask [T].
    """
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


def filled(evidence: SwarmData, run_weights: Array) -> tuple[Array, Array]:
    """Replace missing measurements.

    Args:
        evidence: The runs.
        run_weights: [K] weights of the runs.

    Returns:
        Y and weights [K, T], both 0 where a run was not evaluated.

    Raises:
        FitError: All runs of a task have weight 0.
    """
    unknown = np.isnan(evidence.Y)
    weights = np.where(unknown, 0.0, run_weights[:, None])
    for t in np.flatnonzero(weights.sum(axis=0) <= 0):
        raise FitError(f"the runs evaluated on task {evidence.tasks[t]!r} all have weight 0")
    return np.where(unknown, 0.0, evidence.Y), weights


def regressions(
    evidence: SwarmData, law: Law, settings: FitSettings, run_weights: Array, fitted: NDArray[np.intp]
) -> Problems:
    """State the regressions of some tasks, without ridge.

    Args:
        evidence: The runs.
        law: Form of the law.
        settings: Settings of the fit; the prior is used as it is.
        run_weights: [K] weights of the runs.
        fitted: [B] positions of the tasks.

    Returns:
        B regressions on one design.
    """
    Y, weights = filled(evidence, run_weights)
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


def with_ridge(problems: Problems, ridge: Array) -> Problems:
    """Set the ridge of regressions.

    Args:
        problems: B regressions.
        ridge: [B].

    Returns:
        The same regressions with that ridge.
    """
    return replace(problems, ridge=ridge)


def spread_seen(problems: Problems) -> Array:
    """Measure the scatter of the runs seen.

    Args:
        problems: B regressions.

    Returns:
        [B] standard deviation in BPB.
    """
    squares = np.sum(problems.weights * (problems.Y - mean_seen(problems)) ** 2, axis=0)
    return np.asarray(np.sqrt(squares / problems.weights.sum(axis=0)))


def clipped_rms(errors: Array, weights: Array, spread: Array) -> Array:
    """Measure errors, single ones clipped at twice the spread of their task.

    Args:
        errors: [K, B] in BPB.
        weights: [K, B].
        spread: [B] in BPB.

    Returns:
        [B] root mean square error in BPB.
    """
    squares = np.sum(weights * np.minimum(errors**2, 4 * spread**2), axis=0)
    return np.asarray(np.sqrt(squares / weights.sum(axis=0)))


@dataclass(frozen=True)
class RidgePath:
    """The selected end of a path of ridges.

    Attributes:
        problems: The regressions, with the ridge selected for each.
        theta: [B, p + 2] solutions.
        errors: [K, B] leave-one-out errors.
    """

    problems: Problems
    theta: Array
    errors: Array


def ridge_path(problems: Problems, ridges: Sequence[float] = RIDGES, guard: RidgeGuard | None = None) -> RidgePath:
    """Fit under each ridge from strong to weak, where each solution starts the next.

    Args:
        problems: B regressions.
        ridges: The ridges to try, the strongest first.
        guard: A ridge counts only if its law stays within these bounds; the strongest where none does.

    Returns:
        For each regression the strongest ridge within 3 % of the least leave-one-out error.
    """
    theta, spread = at_mean(problems), spread_seen(problems)
    sizes, thetas, errors = [], [], []
    for ridge in ridges:
        ridged = with_ridge(problems, np.full(len(theta), ridge))
        theta = minimise(ridged, theta, iterations=60, tol=1e-7).theta
        thetas.append(theta)
        errors.append(np.where(problems.weights > 0, leave_one_out(ridged, theta)[0], 0.0))
        size = clipped_rms(errors[-1], problems.weights, spread)
        sizes.append(size if guard is None else np.where(guard.rejects(theta), np.inf, size))
    near = np.array(sizes) <= AS_GOOD * np.min(sizes, axis=0)
    best, tasks = np.argmax(near, axis=0), np.arange(len(theta))
    return RidgePath(
        problems=with_ridge(problems, np.asarray(ridges)[best]),
        theta=np.array(thetas)[best, tasks],
        errors=np.array(errors)[best, :, tasks].T,
    )


@dataclass(frozen=True)
class Refit:
    """A quick fit under one prior of the tasks that can be fitted.

    Attributes:
        problems: The regressions.
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
        evidence: The runs.
        law: Form of the law.
        settings: Settings of the fit; its prior is not used.
        prior: The prior to fit under.
        run_weights: [K] weights of the runs, without those of the prior.
        before: An earlier fit whose ridges are kept and whose parameters start this one; None follows the path of
            ridges.

    Returns:
        The fit.
    """
    fitted = np.flatnonzero(~unfittable_tasks(evidence)[1])
    weights = run_weights * prior.run_weights(evidence.runs)
    problems = regressions(evidence, law, replace(settings, prior=prior), weights, fitted)
    seen = ~np.isnan(evidence.Y[:, fitted])
    if before is None:
        guard = ridge_guard(evidence, law, problems) if settings.guarded else None
        path = ridge_path(problems, guard=guard)
        return Refit(path.problems, path.theta, leave_one_out(path.problems, path.theta)[0], seen)
    problems = with_ridge(problems, before.problems.ridge)
    start = np.zeros((len(fitted), problems.design.shape[1] + 2))
    shared = min(start.shape[1], before.theta.shape[1])
    start[:, :shared] = before.theta[:, :shared]
    theta = minimise(problems, start, iterations=40, tol=1e-6).theta
    return Refit(problems, theta, leave_one_out(problems, theta)[0], seen)
