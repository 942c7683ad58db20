"""Selection of the prior's hyper-parameters by leave-one-out error on the newest swarm.

A prior (see `prior`) states how swarms and leaves are related; the strength of each relation is selected from the data.
Predictions are for mixtures like those of the newest swarm, so each setting is the one with the least leave-one-out
error on its runs: levels of other swarms, the correlation of leaves of one source, that of a revised leaf and its
predecessor, and the weight of each other swarm. A swarm that makes the prediction worse so gets a low weight.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from olmix_core.mixture import Array
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.regression.bounds import is_underdetermined
from olmix_core.surrogate.regression.laws import Law
from olmix_core.surrogate.regression.prior import FEWEST_NEWEST, SwarmPrior
from olmix_core.surrogate.regression.ridge_path import Refit, refit
from olmix_core.surrogate.settings import FitSettings

LEVEL_PRECISIONS = (100.0, 1.0)
SOURCE_CORRELATIONS = (0.0,)
REVISION_CORRELATIONS = (100.0, 0.0)
WEIGHTS = (0.3, 0.1, 0.03)
_BETTER = 0.99  # a setting is replaced only where the error falls by a hundredth
_MOST = 2.0  # errors are clipped at this many times the scatter of their task


@dataclass(frozen=True)
class Member:
    """One swarm of a pooled fit.

    Attributes:
        swarm: Its label.
        runs: Number of its runs.
        weight: Weight of each of its runs in the fit.
        error: Root mean square error of its runs when predicted from all other swarms, as a share of the scatter of its
            own runs (mean over tasks); NaN where the others do not suffice.
    """

    swarm: str
    runs: int
    weight: float
    error: float


def select_prior(
    evidence: SwarmData, law: Law, settings: FitSettings, prior: SwarmPrior, run_weights: Array
) -> SwarmPrior:
    """Select the hyper-parameters of a prior.

    Settings are tried one after another, each further as long as the error falls.

    Args:
        evidence: The runs.
        law: Form of the law.
        settings: Settings of the fit.
        prior: Where the selection starts.
        run_weights: [K] weights of the runs, without those of the prior.

    Returns:
        The prior that predicts the newest swarm's runs best, each left out in turn; `prior` itself where there are too
        few new runs to tell, as for a single swarm with fewer runs than parameters.
    """
    newest = np.array([prior.swarms[run] == prior.current for run in evidence.runs])
    if newest.sum() < FEWEST_NEWEST or (newest.all() and is_underdetermined(*evidence.X.shape)):
        return prior

    def attempt(trial: SwarmPrior, before: Refit | None) -> tuple[float, Refit]:
        fitted = refit(evidence, law, settings, trial, run_weights, before)
        return _relative_error(fitted, newest), fitted

    error, best = attempt(prior, None)
    for changes in _changes(prior, evidence):
        for change in changes:
            trial = change(prior)
            trial_error, fitted = attempt(trial, best)
            if trial_error > _BETTER * error:
                break
            prior, error, best = trial, trial_error, fitted
    return prior


def _changes(prior: SwarmPrior, evidence: SwarmData) -> Iterator[list[Callable[[SwarmPrior], SwarmPrior]]]:
    """The settings to try: each list changes one of them, further and further from its default."""
    if prior.others(evidence.runs):
        yield [partial(replace, level_precision=precision) for precision in LEVEL_PRECISIONS]
    if prior.sources:
        yield [partial(replace, source_correlation=correlation) for correlation in SOURCE_CORRELATIONS]
    if prior.revised:
        yield [partial(replace, revision_correlation=correlation) for correlation in REVISION_CORRELATIONS]
    for swarm in prior.others(evidence.runs):
        yield [partial(_weighed, swarm=swarm, weight=weight) for weight in WEIGHTS]


def _weighed(prior: SwarmPrior, *, swarm: str, weight: float) -> SwarmPrior:
    return replace(prior, weights={**prior.weights, swarm: weight})


def _relative_error(fitted: Refit, rows: NDArray[np.bool_]) -> float:
    """Root mean square error of some runs as a share of the scatter of these runs, mean over tasks."""
    seen = fitted.seen[rows]
    Y, errors = fitted.problems.Y[rows], fitted.errors[rows]
    count = np.maximum(seen.sum(axis=0), 1)
    centre = np.sum(Y * seen, axis=0) / count
    scatter = np.sqrt(np.sum(seen * (Y - centre) ** 2, axis=0) / count)
    varied = scatter > 0
    capped = np.minimum(errors**2, (_MOST * scatter) ** 2)
    return float(np.mean(np.sqrt(np.sum(seen * capped, axis=0) / count)[varied] / scatter[varied]))


def swarm_diagnostics(
    evidence: SwarmData, law: Law, settings: FitSettings, prior: SwarmPrior, run_weights: Array
) -> tuple[Member, ...]:
    """Measure how well each swarm is predicted from all the others.

    Args:
        evidence: The runs.
        law: Form of the law.
        settings: Settings of the fit.
        prior: The prior of the fit.
        run_weights: [K] weights of the runs, without those of the prior.

    Returns:
        A member per swarm, the current one last.
    """
    members = []
    for swarm in (*prior.others(evidence.runs), prior.current):
        rows = np.array([prior.swarms[run] == swarm for run in evidence.runs])
        enough = np.count_nonzero(~np.isnan(evidence.Y[~rows]), axis=0) >= FEWEST_NEWEST
        error = float("nan")
        if rows.any() and enough.any():
            tasks = evidence.some_tasks(np.flatnonzero(enough))
            weights = np.where(rows, 0.0, run_weights)
            error = _relative_error(refit(tasks, law, settings, prior, weights, None), rows)
        members.append(Member(swarm, int(rows.sum()), prior.weights.get(swarm, 1.0), error))
    return tuple(members)
