"""Out-of-fold errors: what a fit says about runs that it has not seen.

Runs are dealt to folds by a seeded shuffle of their sorted ids, so neither their order nor their
number elsewhere matters. Each fold is predicted by a fit to the others; nothing of a held-out run
reaches the fit that predicts it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from olmix_core.errors import FitError
from olmix_core.mixture import Array
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.intervals import NORMAL_90
from olmix_core.surrogate.law_surrogate import LawSurrogate, normalised

Fitter = Callable[[SwarmData, Array], LawSurrogate]

OBJECTIVE = "objective"


@dataclass(frozen=True)
class Diagnostics:
    """Held-out predictions of every run on every task.

    predicted, observed, std [K, T]: BPB, NaN observed where a run was not evaluated; std is that of
    a new measurement (law and noise). objective_* [K]: the same for the weighted mean, NaN where a
    run lacks a task.
    """

    family: str
    gamma: float | None
    runs: tuple[str, ...]
    tasks: tuple[str, ...]
    predicted: Array
    observed: Array
    std: Array
    objective_predicted: Array
    objective_observed: Array
    objective_std: Array

    def table(self) -> pd.DataFrame:
        """One row per task and one called `objective`: runs, spearman, r2, mae (BPB), coverage of
        90 % intervals.
        """
        rows = [_errors(self.predicted[:, t], self.observed[:, t], self.std[:, t]) for t in range(len(self.tasks))]
        rows.append(_errors(self.objective_predicted, self.objective_observed, self.objective_std))
        return pd.DataFrame(rows, index=pd.Index([*self.tasks, OBJECTIVE], name="task"))

    @property
    def relative_error(self) -> float:
        """Mean over tasks of the held-out mean absolute error as a share of that of the task's
        median.
        """
        centre = np.nanmedian(self.observed, axis=0)
        scatter = np.nanmean(np.abs(self.observed - centre), axis=0)
        error = np.nanmean(np.abs(self.observed - self.predicted), axis=0)
        moving = scatter > 1e-9 * np.abs(centre)
        return float(np.mean(error[moving] / scatter[moving])) if moving.any() else 0.0


def out_of_fold(
    evidence: SwarmData,
    fitter: Fitter,
    *,
    folds: int,
    seed: int,
    run_weights: Array,
    task_weights: Array | None,
) -> Diagnostics:
    """Predict each of `folds` parts of the runs by `fitter(evidence, run_weights)` on the others.

    Raises FitError when there are fewer runs than folds, or when a task is left without a run in
    some fold.
    """
    count = len(evidence.runs)
    if not 2 <= folds <= count:
        raise FitError(f"{folds} folds for {count} runs; expected 2 to {count}")
    fold = assign_folds(evidence.runs, folds, seed)

    def parts() -> Iterator[tuple[NDArray[np.intp], LawSurrogate]]:
        for part in range(folds):
            inside, outside = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
            yield outside, fitter(evidence.rows(inside), run_weights[inside])

    return _predict(evidence, task_weights, parts())


def held_out_diagnostics(surrogate: Surrogate, evidence: SwarmData, task_weights: Array | None) -> Diagnostics:
    """Predictions of runs that the surrogate was not fitted to.

    Args:
        surrogate: A surrogate over the leaves and tasks of `evidence`.
        evidence: The held-out runs.
        task_weights: Weight [T] of each task in the objective; None means equal.

    Returns:
        Predictions and measurements, as in cross-validation.

    Raises:
        FitError: If the task weights cannot be used.
    """
    return _predict(evidence, task_weights, [(np.arange(len(evidence.runs)), surrogate)])


def _predict(
    evidence: SwarmData, task_weights: Array | None, parts: Iterable[tuple[NDArray[np.intp], Surrogate]]
) -> Diagnostics:
    """Predict all runs, the rows of each part by the surrogate of that part."""
    weights = normalised(task_weights, evidence.tasks)
    predicted, std = np.empty(evidence.Y.shape), np.empty(evidence.Y.shape)
    objective_std = np.empty(len(evidence.runs))
    family, gamma = "", None
    for rows, surrogate in parts:
        Q = evidence.X[rows]
        predicted[rows] = surrogate.predict(Q)
        std[rows] = np.hypot(surrogate.std(Q), surrogate.noise())
        objective_std[rows] = np.hypot(surrogate.objective_stds(Q, weights), surrogate.objective_noise(weights))
        family, gamma = surrogate.family, surrogate.gamma
    return Diagnostics(
        family=family,
        gamma=gamma,
        runs=evidence.runs,
        tasks=evidence.tasks,
        predicted=predicted,
        observed=evidence.Y,
        std=std,
        objective_predicted=predicted @ weights,
        objective_observed=evidence.Y @ weights,
        objective_std=objective_std,
    )


def assign_folds(runs: Sequence[str], folds: int, seed: int) -> NDArray[np.intp]:
    """[K] the fold of every run, by a seeded shuffle of their sorted ids."""
    by_id = np.argsort(np.array(runs))
    fold = np.empty(len(runs), dtype=np.intp)
    fold[by_id[np.random.default_rng(seed).permutation(len(runs))]] = np.arange(len(runs)) % folds
    return fold


def _errors(predicted: Array, observed: Array, std: Array) -> dict[str, float]:
    """Spearman, R2, mean absolute error and coverage over the runs observed; NaN where they say
    nothing.
    """
    seen = ~np.isnan(observed)
    p, y, s = predicted[seen], observed[seen], std[seen]
    varied = len(y) > 2 and np.ptp(y) > 1e-9 * np.max(np.abs(y))
    total = float(np.sum((y - y.mean()) ** 2)) if varied else float("nan")
    ranked = varied and np.ptp(p) > 0
    return {
        "runs": float(len(y)),
        "spearman": float(spearmanr(p, y).statistic) if ranked else float("nan"),
        "r2": 1.0 - float(np.sum((y - p) ** 2)) / total,
        "mae": float(np.mean(np.abs(y - p))) if len(y) else float("nan"),
        "coverage90": float(np.mean(np.abs(y - p) <= NORMAL_90 * s)) if len(y) else float("nan"),
    }
