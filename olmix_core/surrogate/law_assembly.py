"""The surrogate of an estimated law: its covariance, bounds and remarks, in the order of its swarm."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olmix_core.mixture import Array
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.regression.bounds import measured_bounds
from olmix_core.surrogate.regression.estimation import Estimate, paper_form
from olmix_core.surrogate.regression.laws import Parameters
from olmix_core.surrogate.regression.noise import FEWEST_COMMON, has_common_runs, pairs_without_common_runs
from olmix_core.surrogate.regression.prior import Pooled, SwarmPrior
from olmix_core.surrogate.regression.uncertainty import SandwichCovariance
from olmix_core.surrogate.settings import FitSettings


@dataclass(frozen=True)
class PooledTerms:
    """What a fit under a prior adds to the covariance.

    Attributes:
        levels: [K, S] 1 where a run belongs to an other swarm, runs in canonical order.
        precision: [m + S, m + S] precision of the coefficients, leaves in the order of the swarm.
        scale: [T] scale of the coefficients, tasks in canonical order; None where it was not learnt.
    """

    levels: Array
    precision: Array
    scale: Array | None = None


def assemble(swarm: SwarmData, settings: FitSettings, estimated: Estimate, pooled: PooledTerms | None) -> LawSurrogate:
    """Make the surrogate of an estimate.

    Args:
        swarm: The runs, in any order.
        settings: Settings of the fit, with the prior as it was selected.
        estimated: The estimate on the runs in canonical order.
        pooled: What a prior adds; None without one.

    Returns:
        The surrogate, its leaves and tasks in the order of `swarm`.
    """
    ordered, _, leaves, tasks = swarm.canonical()
    back_leaves, back_tasks = np.argsort(leaves), np.argsort(tasks)
    sorted_form = paper_form(estimated)
    law = estimated.law.of_tasks(back_tasks.tolist())
    low, high = measured_bounds(ordered.Y, estimated.weights)
    parameters = Parameters(
        c=_contiguous(sorted_form.c[back_tasks]),
        b=_contiguous(sorted_form.b[back_tasks]),
        v=_contiguous(sorted_form.v[np.ix_(back_tasks, back_leaves)]),
        bounds=(_contiguous(low[back_tasks]), _contiguous(high[back_tasks])),
    )
    covariance = SandwichCovariance(
        law=law,
        parameters=parameters,
        X=_contiguous(ordered.X[:, back_leaves]),
        weights=_contiguous(estimated.weights[:, back_tasks]),
        errors=_contiguous(estimated.errors[:, back_tasks]),
        pooled=_pooled(pooled, estimated.levels[back_tasks], back_tasks) if pooled else None,
        run_noise=_contiguous(estimated.noise[np.ix_(back_tasks, back_tasks)]),
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
        prior=settings.prior,
        flags={task: estimated.flags[task] for task in swarm.tasks if task in estimated.flags},
        notes=_notes(swarm, settings.prior),
    )


def _pooled(terms: PooledTerms, offsets: Array, back_tasks: NDArray[np.intp]) -> Pooled:
    """What a prior adds, with the fitted offsets [T, S], tasks in the order that `back_tasks` restores."""
    scale = None if terms.scale is None else _contiguous(terms.scale[back_tasks])
    return Pooled(terms.levels, _contiguous(offsets), terms.precision, scale)


def _contiguous(values: Array) -> Array:
    """The same array in row order, as JSON gives it back, so that sums round alike."""
    return np.ascontiguousarray(values)


def _notes(swarm: SwarmData, prior: SwarmPrior | None) -> tuple[str, ...]:
    """Remarks on few runs, leaves without any weight, tasks measured apart, and swarms that count less than others."""
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
    notes += _notes_on_correlations(swarm)
    notes += [
        f"swarm {label[:12]} makes the prediction of the newest runs worse: each of its runs counts {weight:g}"
        for label, weight in sorted((prior.weights if prior else {}).items())
        if weight < 1
    ]
    return tuple(notes)


def _notes_on_correlations(swarm: SwarmData) -> list[str]:
    """A remark where the runs do not tell how the errors of tasks go together."""
    seen, tasks = ~np.isnan(swarm.Y), len(swarm.tasks)
    pairs = pairs_without_common_runs(seen)
    if not pairs:
        return []
    if not has_common_runs(seen):
        return [
            "hardly a run is measured on two tasks: tasks are taken to err together, and intervals of means are wide"
        ]
    return [
        f"{pairs} of {tasks * (tasks - 1) // 2} pairs of tasks have fewer than {FEWEST_COMMON} runs in common: their"
        " errors are taken to correlate like those of the others"
    ]
