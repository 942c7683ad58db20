"""The surrogate: from what proxies showed to a prediction for any mixture, with its error.

    Evidence   --fit-->  Surrogate  (predict, gradient, std, objective, objective_std, JSON)
             --cross_validate-->  Diagnostics  (out-of-fold Spearman, R2, error per task and for the
             objective)

Families: `log_linear` (the law of Olmix, arXiv 2602.12237), `diminishing_returns`, and `auto`,
which fits both and keeps the one with the smaller cross-validated error; and those that the paper
compares with (`comparisons`). Units are bits per byte (BPB) throughout.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from olmix_core.errors import FitError
from olmix_core.mixture import Array
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.baselines.jackknife import GROUPS, Jackknifed
from olmix_core.surrogate.baselines.regressors import REGRESSORS
from olmix_core.surrogate.cross_validation import Diagnostics, out_of_fold
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.regression.estimation import choose_gamma, estimate, paper_form
from olmix_core.surrogate.regression.laws import DIMINISHING_RETURNS, LAWS, LOG_LINEAR, Law, Parameters
from olmix_core.surrogate.regression.prior import SwarmPrior
from olmix_core.surrogate.regression.prior_selection import select_prior
from olmix_core.surrogate.regression.uncertainty import Pooled, SandwichCovariance

__all__ = [
    "FAMILIES",
    "Diagnostics",
    "Surrogate",
    "SwarmData",
    "cross_validate",
    "fit",
    "fit_law",
    "read_surrogate",
]

AUTO = "auto"
FAMILIES = (*LAWS, *REGRESSORS, AUTO)
_AUTO_FOLDS, _AUTO_SEED = 5, 0


def fit(
    evidence: SwarmData,
    *,
    family: str = AUTO,
    huber_delta: float = 0.02,
    ridge: float | Literal["auto"] = "auto",
    gamma: float | None = None,
    run_weights: Array | None = None,
    pool: SwarmPrior | None = None,
) -> Surrogate:
    """Fit one law, or one regressor of a comparison family, per task.

    huber_delta: BPB beyond which the Huber loss is linear (paper: 0.02). ridge: penalty / 2 on the
    squared coefficients, in units of the mean Huber loss; "auto" chooses it per task by
    leave-one-out error. gamma: power of diminishing_returns; None chooses it by leave-one-out
    error. Comparison families have settings of their own. run_weights [K] >= 0, in the order of
    evidence.runs. pool: of which swarms the runs are, and what hangs together; how much to make of
    that is chosen (see `pooling`); comparison families take all runs as one swarm. The answer has
    evidence's order of leaves and tasks. Raises FitError for settings or evidence that cannot be
    meant.
    """
    weights = _check(evidence, family, huber_delta, ridge, gamma, run_weights)
    if family in REGRESSORS:
        return Jackknifed(family, evidence, weights)
    return fit_law(
        evidence,
        family=family,
        huber_delta=huber_delta,
        ridge=ridge,
        gamma=gamma,
        run_weights=run_weights,
        pool=pool,
    )


def fit_law(
    evidence: SwarmData,
    *,
    family: str = AUTO,
    huber_delta: float = 0.02,
    ridge: float | Literal["auto"] = "auto",
    gamma: float | None = None,
    run_weights: Array | None = None,
    pool: SwarmPrior | None = None,
) -> LawSurrogate:
    """`fit` for the two laws, and `auto`, which chooses one of them."""
    weights = _check(evidence, family, huber_delta, ridge, gamma, run_weights)
    if pool is not None:
        pool.check(evidence.runs)
    strength = None if ridge == "auto" else float(ridge)
    if family != AUTO:
        return _fit(evidence, family, huber_delta, strength, gamma, weights, pool=pool)
    found = [
        _fit(evidence, name, huber_delta, strength, gamma, weights, pool=pool)
        for name in (DIMINISHING_RETURNS, LOG_LINEAR)
    ]
    folds = min(_AUTO_FOLDS, len(evidence.runs))
    if folds < 2:
        raise FitError("one run cannot tell families apart; give a family or more runs")
    errors = [_validate(evidence, one, strength, weights, folds, _AUTO_SEED, None) for one in found]
    shares = [error.relative_error for error in errors]
    best = int(np.argmin(shares))
    compared = ", ".join(f"{one.family} {share:.3f}" for one, share in zip(found, shares, strict=True))
    note = (
        f"family {found[best].family} chosen by {folds}-fold held-out error, "
        f"as a share of the scatter of the runs: {compared}"
    )
    return replace(found[best], notes=(note, *found[best].notes))


def cross_validate(
    evidence: SwarmData,
    *,
    family: str = AUTO,
    huber_delta: float = 0.02,
    ridge: float | Literal["auto"] = "auto",
    gamma: float | None = None,
    run_weights: Array | None = None,
    task_weights: Array | None = None,
    pool: SwarmPrior | None = None,
    folds: int = 5,
    seed: int = 0,
) -> Diagnostics:
    """Out-of-fold predictions of `fit` with the same settings, and their errors.

    The family ("auto"), gamma (None) and how to pool are chosen once, on all runs; everything else is
    fitted anew without the held-out runs. task_weights [T] weigh the objective; None means equal.
    """
    weights = _check(evidence, family, huber_delta, ridge, gamma, run_weights)
    if family in REGRESSORS:
        if folds != GROUPS:
            raise FitError(f"{folds} folds; family {family!r} is validated with {GROUPS}")
        return Jackknifed(family, evidence, weights, seed).diagnostics(task_weights)
    chosen = fit_law(
        evidence,
        family=family,
        huber_delta=huber_delta,
        ridge=ridge,
        gamma=gamma,
        run_weights=run_weights,
        pool=pool,
    )
    strength = None if ridge == "auto" else float(ridge)
    return _validate(evidence, chosen, strength, weights, folds, seed, task_weights)


def read_surrogate(data: Mapping[str, Any]) -> Surrogate:
    """The model that `to_json` wrote, of whatever family. Raises FitError where it is no such thing."""
    return Jackknifed.from_json(data) if data.get("family") in REGRESSORS else LawSurrogate.from_json(data)


def _validate(
    evidence: SwarmData,
    chosen: LawSurrogate,
    ridge: float | None,
    run_weights: Array,
    folds: int,
    seed: int,
    task_weights: Array | None,
) -> Diagnostics:
    def refit(part: SwarmData, weights: Array) -> LawSurrogate:
        # without restarts: the path of ridges reaches the same minimum but for a rare task, and folds are many
        return _fit(part, chosen.family, chosen.huber_delta, ridge, chosen.gamma, weights, chosen.pool, again=True)

    return out_of_fold(evidence, refit, folds=folds, seed=seed, run_weights=run_weights, task_weights=task_weights)


def _check(
    evidence: SwarmData,
    family: str,
    huber_delta: float,
    ridge: float | Literal["auto"],
    gamma: float | None,
    run_weights: Array | None,
) -> Array:
    """The run weights [K] to use, after all settings were found to make sense."""
    if family not in FAMILIES:
        raise FitError(f"family {family!r}; expected one of {', '.join(FAMILIES)}")
    if not huber_delta > 0:
        raise FitError(f"huber_delta {huber_delta}; expected a number > 0 in BPB")
    if ridge != "auto" and not float(ridge) >= 0:
        raise FitError(f"ridge {ridge}; expected 'auto' or a number >= 0")
    if gamma is not None and not 0 < gamma <= 1:
        raise FitError(f"gamma {gamma}; expected a number in (0, 1], or none to have it chosen")
    if gamma is not None and family not in (DIMINISHING_RETURNS, AUTO):
        raise FitError(f"gamma belongs to diminishing_returns; {family} has none")
    if run_weights is None:
        return np.ones(len(evidence.runs))
    weights = np.asarray(run_weights, dtype=np.float64)
    usable = weights.shape == (len(evidence.runs),)
    if not usable or not (np.isfinite(weights) & (weights >= 0)).all() or not weights.any():
        raise FitError(f"run weights must be {len(evidence.runs)} numbers >= 0, one per run, not all 0")
    scaled: Array = weights * (np.count_nonzero(weights) / weights.sum())
    return scaled


def _fit(
    evidence: SwarmData,
    family: str,
    huber_delta: float,
    ridge: float | None,
    gamma: float | None,
    run_weights: Array,
    pool: SwarmPrior | None = None,
    again: bool = False,
) -> LawSurrogate:
    """Fit one family in canonical order, and give the result evidence's order back.

    again: the pool is one that was chosen before, and the lowest minimum is looked for from one start.
    With a pool it always is: its prior leaves little room for others, and batches are many.
    """
    ordered, rows, leaves, tasks = evidence.canonical()
    weights = run_weights[rows]
    if family == DIMINISHING_RETURNS and gamma is None:
        gamma = choose_gamma(ordered, huber_delta=huber_delta, ridge=ridge, run_weights=weights, pool=pool)
    law = Law(family, gamma if family == DIMINISHING_RETURNS else None)
    if pool is not None:
        if not again:
            pool = select_prior(ordered, pool, law, huber_delta=huber_delta, run_weights=weights)
        weights = weights * pool.run_weights(ordered.runs)
    restarts = pool is None and not again
    estimated = estimate(
        ordered, law, huber_delta=huber_delta, ridge=ridge, run_weights=weights, restarts=restarts, pool=pool
    )
    back_leaves, back_tasks = np.argsort(leaves), np.argsort(tasks)
    sorted_form = paper_form(estimated)
    parameters = Parameters(
        c=_plain(sorted_form.c[back_tasks]),
        b=_plain(sorted_form.b[back_tasks]),
        v=_plain(sorted_form.v[np.ix_(back_tasks, back_leaves)]),
    )
    pooled = None
    if pool is not None:
        levels = pool.levels(ordered.runs)
        precision = pool.precision(evidence.leaves, levels.shape[1])
        pooled = Pooled(levels, _plain(estimated.levels[back_tasks]), precision)
    return LawSurrogate(
        law=law,
        leaves=evidence.leaves,
        tasks=evidence.tasks,
        parameters=parameters,
        ridge=estimated.ridge[back_tasks],
        loss=estimated.loss[back_tasks],
        huber_delta=huber_delta,
        score=estimated.score,
        influence=SandwichCovariance(
            law=law,
            parameters=parameters,
            X=_plain(ordered.X[:, back_leaves]),
            weights=_plain(estimated.weights[:, back_tasks]),
            errors=_plain(estimated.errors[:, back_tasks]),
            pooled=pooled,
        ),
        pool=pool,
        flags={task: estimated.flags[task] for task in evidence.tasks if task in estimated.flags},
        notes=(*_notes(evidence), *(_pool_notes(pool) if pool else ())),
    )


def _plain(values: Array) -> Array:
    """The same in row order, as JSON gives it back: sums then round alike."""
    return np.ascontiguousarray(values)


def _notes(evidence: SwarmData) -> tuple[str, ...]:
    """Remarks on evidence that is thin."""
    notes = []
    needed = len(evidence.leaves) + 2
    if len(evidence.runs) < needed:
        notes.append(
            f"{len(evidence.runs)} runs for {needed} parameters per task: the regularisation "
            f"decides what the runs cannot; {3 * (len(evidence.leaves) + 1)} or more are advised"
        )
    unseen = [leaf for j, leaf in enumerate(evidence.leaves) if not evidence.X[:, j].any()]
    if unseen:
        notes.append(f"no run has any weight on {', '.join(unseen)}: nothing is known of their effect")
    return tuple(notes)


def _pool_notes(pool: SwarmPrior) -> tuple[str, ...]:
    """Swarms that are believed less than others."""
    return tuple(
        f"swarm {swarm[:12]} makes the prediction of the newest runs worse: each of its runs counts {weight:g}"
        for swarm, weight in sorted(pool.weights.items())
        if weight < 1
    )
