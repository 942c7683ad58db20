"""Fitting a law: canonical order, selection of its hyper-parameters, estimation, and the surrogate with its remarks."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from olmix_core.errors import FitError
from olmix_core.mixture import Array
from olmix_core.surrogate.cross_validation import Diagnostics, Folds, Refitter, out_of_fold
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.regression.bounds import is_underdetermined, measured_bounds
from olmix_core.surrogate.regression.estimation import estimate, paper_form
from olmix_core.surrogate.regression.laws import Law, Parameters
from olmix_core.surrogate.regression.prior import Pooled, SwarmPrior
from olmix_core.surrogate.regression.prior_selection import select_prior
from olmix_core.surrogate.regression.uncertainty import SandwichCovariance
from olmix_core.surrogate.settings import FitSettings

# (swarm in canonical order, settings, run weights [K]) to the form of the law.
LawSelector = Callable[[SwarmData, FitSettings, Array], Law]

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
        is_refit: The prior was selected before, and one start is enough. With a prior one start always is: it leaves
            little room for other minima.

    Returns:
        The surrogate, its leaves and tasks in the order of `swarm`.

    Raises:
        FitError: All runs of a task have weight 0.
    """
    settings = _with_guard(swarm, settings)
    ordered, rows, leaves, tasks = swarm.canonical()
    weights = run_weights[rows]
    law = select_law(ordered, settings, weights)
    prior = settings.prior
    if prior is not None:
        if not is_refit:
            prior = select_prior(ordered, law, settings, prior, weights)
        weights = weights * prior.run_weights(ordered.runs)
        settings = replace(settings, prior=prior)
    estimated = estimate(ordered, law, settings, weights, restarts=prior is None and not is_refit)
    back_leaves, back_tasks = np.argsort(leaves), np.argsort(tasks)
    sorted_form = paper_form(estimated)
    parameters = Parameters(
        c=_contiguous(sorted_form.c[back_tasks]),
        b=_contiguous(sorted_form.b[back_tasks]),
        v=_contiguous(sorted_form.v[np.ix_(back_tasks, back_leaves)]),
        bounds=_bounds(ordered, estimated.weights, back_tasks),
    )
    covariance = SandwichCovariance(
        law=law,
        parameters=parameters,
        X=_contiguous(ordered.X[:, back_leaves]),
        weights=_contiguous(estimated.weights[:, back_tasks]),
        errors=_contiguous(estimated.errors[:, back_tasks]),
        pooled=_pooled(prior, ordered.runs, swarm.leaves, estimated.levels[back_tasks]) if prior else None,
    )
    return LawSurrogate(
        law=law,
        leaves=swarm.leaves,
        tasks=swarm.tasks,
        parameters=parameters,
        ridge=estimated.ridge[back_tasks],
        loss=estimated.loss[back_tasks],
        huber_delta=settings.huber_delta,
        score=estimated.score,
        covariance=covariance,
        prior=prior,
        flags={task: estimated.flags[task] for task in swarm.tasks if task in estimated.flags},
        notes=_notes(swarm, prior),
    )


def fit_best_law(
    swarm: SwarmData, settings: FitSettings, run_weights: Array, selectors: Sequence[LawSelector]
) -> LawSurrogate:
    """Fit several laws and keep the one with the least held-out error.

    Args:
        swarm: The runs.
        settings: Settings of the fit.
        run_weights: [K] weights of the runs.
        selectors: Each gives the form of one law.

    Returns:
        The best surrogate; a note states the errors of all.

    Raises:
        FitError: There is one run only.
    """
    surrogates = [fit_law_form(swarm, settings, run_weights, select_law) for select_law in selectors]
    folds = replace(_FOLDS, count=min(_FOLDS.count, len(swarm.runs)))
    if folds.count < 2:
        raise FitError("one run cannot tell families apart; give a family or more runs")
    shares = [
        out_of_fold(
            swarm, _refitter(swarm, settings, surrogate, bounded=False), folds, run_weights, None
        ).relative_error
        for surrogate in surrogates
    ]
    best = int(np.argmin(shares))
    compared = ", ".join(f"{surrogate.family} {share:.3f}" for surrogate, share in zip(surrogates, shares, strict=True))
    note = (
        f"family {surrogates[best].family} chosen by {folds.count}-fold held-out error, "
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
        # One start: the path of ridges reaches the same minimum for nearly all tasks, and there are many folds.
        law = fit_law_form(part, fixed, weights, lambda *_: surrogate.law, is_refit=True)
        return law if bounded else law.unbounded

    return refit


def _with_guard(swarm: SwarmData, settings: FitSettings) -> FitSettings:
    """The settings with the guard of ridges decided; folds of the runs are fitted as all runs are."""
    if settings.guarded is not None:
        return settings
    return replace(settings, guarded=is_underdetermined(len(swarm.runs), len(swarm.leaves)))


def _bounds(ordered: SwarmData, weights: Array, back_tasks: NDArray[np.intp]) -> tuple[Array, Array]:
    """Bounds of predictions [T], in the order that `back_tasks` restores."""
    low, high = measured_bounds(ordered.Y, weights)
    return _contiguous(low[back_tasks]), _contiguous(high[back_tasks])


def _pooled(prior: SwarmPrior, runs: Sequence[str], leaves: Sequence[str], offsets: Array) -> Pooled:
    """The levels and the precision of a prior, with the fitted offsets [T, S]."""
    levels = prior.levels(runs)
    return Pooled(levels, _contiguous(offsets), prior.precision(leaves, levels.shape[1]))


def _contiguous(values: Array) -> Array:
    """The same array in row order, as JSON gives it back, so that sums round alike."""
    return np.ascontiguousarray(values)


def _notes(swarm: SwarmData, prior: SwarmPrior | None) -> tuple[str, ...]:
    """Remarks on few runs, on leaves without any weight, and on swarms whose runs count less than others."""
    notes = []
    needed = len(swarm.leaves) + 2
    if len(swarm.runs) < needed:
        notes.append(
            f"{len(swarm.runs)} runs for {needed} parameters per task: the regularisation "
            f"decides what the runs cannot; {3 * (len(swarm.leaves) + 1)} or more are advised"
        )
    unseen = [leaf for j, leaf in enumerate(swarm.leaves) if not swarm.X[:, j].any()]
    if unseen:
        notes.append(f"no run has any weight on {', '.join(unseen)}: nothing is known of their effect")
    notes += [
        f"swarm {label[:12]} makes the prediction of the newest runs worse: each of its runs counts {weight:g}"
        for label, weight in sorted((prior.weights if prior else {}).items())
        if weight < 1
    ]
    return tuple(notes)
