"""Fitting a law: selection of its hyper-parameters, estimation, and comparison with other laws."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from olmix_core.errors import FitError
from olmix_core.mixture import Array
from olmix_core.surrogate.cross_validation import Diagnostics, Folds, Refitter, out_of_fold
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.law_assembly import PooledTerms, assemble
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.regression.bounds import is_underdetermined
from olmix_core.surrogate.regression.estimation import estimate
from olmix_core.surrogate.regression.laws import Law
from olmix_core.surrogate.regression.prior_selection import select_prior
from olmix_core.surrogate.regression.responses import level_indicators
from olmix_core.surrogate.regression.shared_estimation import estimate_shared
from olmix_core.surrogate.regression.shared_prior import learn_shared_prior
from olmix_core.surrogate.settings import FitSettings

# (swarm in canonical order, settings, run weights [K]) to the form of the law.
LawSelector = Callable[[SwarmData, FitSettings, Array], Law]

# (swarm, settings, run weights [K]) to a fitted law.
LawFitter = Callable[[SwarmData, FitSettings, Array], LawSurrogate]

_FOLDS = Folds(count=5, seed=0)  # of the comparison of laws


def fit_law_form(
    swarm: SwarmData, settings: FitSettings, run_weights: Array, select_law: LawSelector, *, is_refit: bool = False
) -> LawSurrogate:
    """Fit one law in canonical order of runs, leaves and tasks.

    Args:
        swarm: The runs.
        settings: Settings of the fit.
        run_weights: [K] weights of the runs.
        select_law: Gives the form of the law.
        is_refit: The prior was selected before, and one start is enough. With several swarms one start always is: their
            prior leaves little room for other minima.

    Returns:
        The surrogate, its leaves and tasks in the order of `swarm`.

    Raises:
        FitError: All runs of a task have weight 0.
    """
    settings = _with_guard(swarm, settings)
    ordered, rows, _, _ = swarm.canonical()
    weights = run_weights[rows]
    law = select_law(ordered, settings, weights)
    prior = settings.prior
    if prior is not None:
        if not is_refit:
            prior = select_prior(ordered, law, settings, prior, weights)
        weights = weights * prior.run_weights(ordered.runs)
        settings = replace(settings, prior=prior)
    is_pooled = prior is not None and bool(prior.others(ordered.runs))
    estimated = estimate(ordered, law, settings, weights, restarts=not is_pooled and not is_refit)
    pooled = None
    if prior is not None:
        levels = prior.levels(ordered.runs)
        pooled = PooledTerms(levels, prior.precision(swarm.leaves, levels.shape[1]))
    return assemble(swarm, settings, estimated, pooled)


def fit_under_shared_prior(swarm: SwarmData, settings: FitSettings, run_weights: Array) -> LawSurrogate:
    """Fit diminishing returns under a prior that is learnt from all tasks together.

    Args:
        swarm: The runs.
        settings: Settings of the fit; the ridge is not used.
        run_weights: [K] weights of the runs.

    Returns:
        The surrogate, its leaves and tasks in the order of `swarm`.

    Raises:
        FitError: All runs of a task have weight 0.
    """
    ordered, rows, _, _ = swarm.canonical()
    weights, prior = run_weights[rows], settings.prior
    shared = learn_shared_prior(ordered, weights, prior, settings.gamma)
    fitted = estimate_shared(ordered, shared, weights, prior, settings.huber_delta)
    levels = level_indicators(prior, ordered.runs)
    precision = np.asarray(np.linalg.inv(shared.covariance(swarm.leaves, levels.shape[1], prior)), dtype=np.float64)
    surrogate = assemble(swarm, settings, fitted.estimate, PooledTerms(levels, precision, fitted.scale))
    return replace(surrogate, shared_prior=shared)


def fit_best_law(
    swarm: SwarmData, settings: FitSettings, run_weights: Array, fitters: Sequence[LawFitter]
) -> LawSurrogate:
    """Fit several laws and keep the one with the least held-out error, weighted towards the best runs.

    Where there are several swarms, the runs of the newest count.

    Args:
        swarm: The runs.
        settings: Settings of the fit.
        run_weights: [K] weights of the runs.
        fitters: Each fits one law.

    Returns:
        The best surrogate; a note states the errors of all.

    Raises:
        FitError: There is one run only.
    """
    surrogates = [fit(swarm, settings, run_weights) for fit in fitters]
    folds = replace(_FOLDS, count=min(_FOLDS.count, len(swarm.runs)))
    if folds.count < 2:
        raise FitError("one run cannot tell families apart; give a family or more runs")
    newest = np.ones(len(swarm.runs), dtype=bool) if settings.prior is None else settings.prior.newest(swarm.runs)
    refitters = [_refitter(swarm, settings, surrogate, bounded=False) for surrogate in surrogates]
    held_out = [out_of_fold(swarm, refitter, folds, run_weights, None) for refitter in refitters]
    shares = [diagnostics.some_runs(newest).error_towards_the_best for diagnostics in held_out]
    best = int(np.argmin(np.nan_to_num(shares, nan=np.inf)))
    compared = ", ".join(f"{surrogate.name} {share:.3f}" for surrogate, share in zip(surrogates, shares, strict=True))
    note = (
        f"{surrogates[best].name} chosen by {folds.count}-fold held-out error, weighted towards the best runs, "
        f"as a share of the scatter of the runs: {compared}"
    )
    return replace(surrogates[best], notes=(note, *surrogates[best].notes))


def cross_validate_law(
    swarm: SwarmData,
    settings: FitSettings,
    run_weights: Array,
    folds: Folds,
    surrogate: LawSurrogate,
    task_weights: Array | None = None,
) -> Diagnostics:
    """Predict each fold by a law refitted to the others, with the form and prior of a fit to all runs.

    A shared prior is learnt anew from the others: what it learns from a run helps to predict that run.

    Args:
        swarm: The runs.
        settings: Settings of the fit.
        run_weights: [K] weights of the runs.
        folds: The partition of the runs.
        surrogate: The fit to all runs.
        task_weights: [T] weights of the objective; None means equal.

    Returns:
        Held-out predictions of all runs.

    Raises:
        FitError: There are fewer runs than folds, or a task has no run outside some fold.
    """
    return out_of_fold(swarm, _refitter(swarm, settings, surrogate), folds, run_weights, task_weights)


def _refitter(swarm: SwarmData, settings: FitSettings, surrogate: LawSurrogate, *, bounded: bool = True) -> Refitter:
    """Refits the law of a surrogate to some of the runs. Without bounds, a law that explodes has its true errors."""
    fixed = replace(_with_guard(swarm, settings), prior=surrogate.prior)

    def refit(part: SwarmData, weights: Array) -> LawSurrogate:
        if surrogate.shared_prior is not None:
            law = fit_under_shared_prior(part, fixed, weights)
        else:
            # One start: the path of ridges reaches the same minimum for nearly all tasks, and there are many folds.
            law = fit_law_form(part, fixed, weights, lambda *_: surrogate.law, is_refit=True)
        return law if bounded else law.unbounded

    return refit


def _with_guard(swarm: SwarmData, settings: FitSettings) -> FitSettings:
    """The settings with the guard of ridges decided; folds of the runs are fitted as all runs are."""
    if settings.guarded is not None:
        return settings
    return replace(settings, guarded=is_underdetermined(len(swarm.runs), len(swarm.leaves)))
