"""Learning from several swarms at once: which of them to believe, and how far.

A pool (see `pool`) says how swarms and leaves hang together; how much to make of that is read off the data. Predictions
are wanted for mixtures like those of the newest swarm, so each choice is the one with the least leave-one-out error on
its runs: whether other swarms lie at levels of their own, how alike the leaves of one source are, how closely a
revised leaf takes after its predecessor, and how much each other swarm counts. A swarm whose runs make the prediction
worse is so weighed down, and named.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from olmix_core.mixture import Array
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.regression.estimation import Refit, refit
from olmix_core.surrogate.regression.laws import Law
from olmix_core.surrogate.regression.prior import SwarmPrior

DRIFTS = (100.0, 1.0)
LIKENESSES = (0.0,)
HERITAGES = (100.0, 0.0)
WEIGHTS = (0.3, 0.1, 0.03)
_FEWEST = 8  # runs of the newest swarm that can tell settings apart
_BETTER = 0.99  # a setting is left for another only where the error falls by a hundredth
_MOST = 2.0  # an error counts as this many times the scatter of its task at most


@dataclass(frozen=True)
class Member:
    """One swarm of a pooled fit.

    error: root mean square error of its runs when predicted from all other swarms, as a share of the scatter of its own
    runs (mean over tasks), NaN for a swarm by itself. weight: what each of its runs counts in the fit.
    """

    swarm: str
    runs: int
    weight: float
    error: float


def select_prior(
    evidence: SwarmData, pool: SwarmPrior, law: Law, *, huber_delta: float, run_weights: Array
) -> SwarmPrior:
    """The pool with the settings that predict the newest swarm's runs best, each left out in turn.

    Settings are tried one after another, each time further as long as the error falls. With too few new runs to tell,
    or no other swarm, the pool stays as it is.
    """
    newest = np.array([pool.swarms[run] == pool.current for run in evidence.runs])
    if newest.sum() < _FEWEST or newest.all():
        return pool

    def attempt(one: SwarmPrior, before: Refit | None) -> tuple[float, Refit]:
        found = refit(evidence, law, one, huber_delta=huber_delta, run_weights=run_weights, before=before)
        return _share(found, newest), found

    error, best = attempt(pool, None)
    for further in _settings(pool, evidence):
        for change in further:
            other = change(pool)
            other_error, found = attempt(other, best)
            if other_error > _BETTER * error:
                break
            pool, error, best = other, other_error, found
    return pool


def _settings(pool: SwarmPrior, evidence: SwarmData) -> Iterator[list[Callable[[SwarmPrior], SwarmPrior]]]:
    """What may be set otherwise, and how: in each list further and further from what is usual."""
    yield [partial(replace, drift=drift) for drift in DRIFTS]
    if pool.sources:
        yield [partial(replace, likeness=likeness) for likeness in LIKENESSES]
    if pool.revised:
        yield [partial(replace, heritage=heritage) for heritage in HERITAGES]
    for swarm in pool.others(evidence.runs):
        yield [partial(_weighed, swarm=swarm, weight=weight) for weight in WEIGHTS]


def _weighed(pool: SwarmPrior, *, swarm: str, weight: float) -> SwarmPrior:
    return replace(pool, weights={**pool.weights, swarm: weight})


def _share(found: Refit, rows: NDArray[np.bool_]) -> float:
    """Root mean square error of some runs as a share of the scatter of these runs, mean over tasks."""
    seen = found.seen[rows]
    Y, errors = found.problems.Y[rows], found.errors[rows]
    count = np.maximum(seen.sum(axis=0), 1)
    centre = np.sum(Y * seen, axis=0) / count
    scatter = np.sqrt(np.sum(seen * (Y - centre) ** 2, axis=0) / count)
    told = scatter > 0
    capped = np.minimum(errors**2, (_MOST * scatter) ** 2)
    return float(np.mean(np.sqrt(np.sum(seen * capped, axis=0) / count)[told] / scatter[told]))


def swarm_diagnostics(
    evidence: SwarmData, pool: SwarmPrior, law: Law, *, huber_delta: float, run_weights: Array
) -> tuple[Member, ...]:
    """What each swarm is to the pool: its weight, and the error of predicting it from all the others."""
    found = []
    for swarm in (*pool.others(evidence.runs), pool.current):
        rows = np.array([pool.swarms[run] == swarm for run in evidence.runs])
        enough = np.count_nonzero(~np.isnan(evidence.Y[~rows]), axis=0) >= _FEWEST
        error = float("nan")
        if rows.any() and enough.any():
            told = evidence.some_tasks(np.flatnonzero(enough))
            weights = np.where(rows, 0.0, run_weights)
            error = _share(refit(told, law, pool, huber_delta=huber_delta, run_weights=weights, before=None), rows)
        found.append(Member(swarm, int(rows.sum()), pool.weights.get(swarm, 1.0), error))
    return tuple(found)
