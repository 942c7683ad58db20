"""Out-of-fold errors: predictions of runs by fits that have not seen them.

Runs are assigned to folds by a seeded shuffle of their sorted ids, so the order of the runs does not matter. Each fold
is predicted by a fit to the other folds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from olmix_core.errors import FitError
from olmix_core.mixture import Array
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.intervals import NORMAL_90, measured_stds, measured_task_stds
from olmix_core.surrogate.task_weights import normalised

Refitter = Callable[[SwarmData, Array], Surrogate]

OBJECTIVE = "objective"

_BEST = 0.25  # share of the runs, by measured or by predicted BPB, that count fully in the choice of a law
_ELSEWHERE = 0.3  # what other runs count


@dataclass(frozen=True)
class Folds:
    """A partition of runs.

    Attributes:
        count: Number of folds.
        seed: Seed of the shuffle that assigns runs to folds.
    """

    count: int = 5
    seed: int = 0

    def assign(self, runs: Sequence[str]) -> NDArray[np.intp]:
        """Assign runs to folds by a seeded shuffle of their sorted ids.

        Args:
            runs: [K] ids.

        Returns:
            [K] the fold of every run.
        """
        by_id = np.argsort(np.array(runs))
        fold = np.empty(len(runs), dtype=np.intp)
        shuffled = by_id[np.random.default_rng(self.seed).permutation(len(runs))]
        fold[shuffled] = np.arange(len(runs)) % self.count
        return fold


@dataclass(frozen=True)
class Diagnostics:
    """Held-out predictions of every run on every task.

    Attributes:
        family: Name of the family.
        gamma: Power of diminishing returns; None for other families.
        runs: [K] ids.
        tasks: [T] names.
        predicted: [K, T] BPB.
        observed: [K, T] measured BPB; NaN where a run was not evaluated.
        std: [K, T] standard deviation of a new measurement (law and noise), in BPB.
        objective_predicted: [K] weighted mean of `predicted`.
        objective_observed: [K] weighted mean of `observed`; NaN where a run lacks a task.
        objective_std: [K] standard deviation of a newly measured objective.
        beyond: [K, T] where a bound holds the prediction, because the law itself is beyond it.
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
    beyond: NDArray[np.bool_] | None = None

    @classmethod
    def of_runs(cls, surrogate: Surrogate, swarm: SwarmData, task_weights: Array | None) -> "Diagnostics":
        """Predict runs that were left out of a fit.

        Args:
            surrogate: The fit.
            swarm: The runs that it has not seen.
            task_weights: [T] weights of the objective; None means equal.

        Returns:
            Their predictions.
        """
        weights, predicted = normalised(task_weights, swarm.tasks), surrogate.predict(swarm.X)
        return cls(
            family=surrogate.family,
            gamma=surrogate.gamma,
            runs=swarm.runs,
            tasks=swarm.tasks,
            predicted=predicted,
            observed=swarm.Y,
            std=measured_task_stds(surrogate, swarm.X),
            objective_predicted=predicted @ weights,
            objective_observed=swarm.Y @ weights,
            objective_std=measured_stds(surrogate, swarm.X, task_weights),
            beyond=_beyond(surrogate, swarm.X),
        )

    def some_runs(self, index: NDArray[np.bool_]) -> Self:
        """Select runs.

        Args:
            index: [K] True for the runs to keep.

        Returns:
            Their predictions.
        """
        kept = np.flatnonzero(index)
        return replace(
            self,
            runs=tuple(self.runs[k] for k in kept),
            predicted=self.predicted[kept],
            observed=self.observed[kept],
            std=self.std[kept],
            objective_predicted=self.objective_predicted[kept],
            objective_observed=self.objective_observed[kept],
            objective_std=self.objective_std[kept],
            beyond=None if self.beyond is None else self.beyond[kept],
        )

    def table(self) -> pd.DataFrame:
        """Summarise the errors.

        Returns:
            A row per task and one called `objective`: runs, spearman, r2, mae (BPB), coverage90 (share of runs inside
            their 90 % interval). NaN where a measure is undefined.
        """
        rows = [_errors(self.predicted[:, t], self.observed[:, t], self.std[:, t]) for t in range(len(self.tasks))]
        rows.append(_errors(self.objective_predicted, self.objective_observed, self.objective_std))
        return pd.DataFrame(rows, index=pd.Index([*self.tasks, OBJECTIVE], name="task"))

    @property
    def error_towards_the_best(self) -> float:
        """Mean over tasks of the mean absolute error as a share of that of the task's median.

        Runs in the best quarter of a task, measured or predicted, count fully, since a proposal lies there; others
        count 0.3. A law that is nearly right everywhere can be wrong at the optimum.
        """
        measured = ~np.isnan(self.observed).all(axis=0)
        observed, predicted = self.observed[:, measured], self.predicted[:, measured]
        centre = np.nanmedian(observed, axis=0)
        scatter = np.nanmean(np.abs(observed - centre), axis=0)
        seen = ~np.isnan(observed)
        known = np.where(seen, predicted, np.nan)
        best = (observed <= np.nanquantile(observed, _BEST, axis=0)) | (known <= np.nanquantile(known, _BEST, axis=0))
        weights = np.where(best, 1.0, _ELSEWHERE) * seen
        errors = np.where(seen, np.abs(observed - predicted), 0.0)
        error = np.sum(weights * errors, axis=0) / np.sum(weights, axis=0)
        moving = scatter > 1e-9 * np.abs(centre)
        return float(np.mean(error[moving] / scatter[moving])) if moving.any() else 0.0


def out_of_fold(
    swarm: SwarmData, refit: Refitter, folds: Folds, run_weights: Array, task_weights: Array | None
) -> Diagnostics:
    """Predict each fold by a fit to the others.

    Args:
        swarm: All runs.
        refit: (swarm, run weights) to a surrogate.
        folds: The partition of the runs.
        run_weights: [K] weights of the runs in a fit.
        task_weights: [T] weights of the objective; None means equal.

    Returns:
        Held-out predictions of all runs.

    Raises:
        FitError: There are fewer runs than folds, or a task has no run outside some fold.
    """
    count = len(swarm.runs)
    if not 2 <= folds.count <= count:
        raise FitError(f"{folds.count} folds for {count} runs; expected 2 to {count}")
    fold = folds.assign(swarm.runs)
    weights = normalised(task_weights, swarm.tasks)
    predicted, std = np.empty(swarm.Y.shape), np.empty(swarm.Y.shape)
    objective_std, beyond = np.empty(count), np.zeros(swarm.Y.shape, dtype=bool)
    family, gamma = "", None
    for part in range(folds.count):
        inside, outside = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
        surrogate = refit(swarm.rows(inside), run_weights[inside])
        Q = swarm.X[outside]
        predicted[outside], beyond[outside] = surrogate.predict(Q), _beyond(surrogate, Q)
        std[outside] = measured_task_stds(surrogate, Q)
        objective_std[outside] = measured_stds(surrogate, Q, weights)
        family, gamma = surrogate.family, surrogate.gamma
    return Diagnostics(
        family=family,
        gamma=gamma,
        runs=swarm.runs,
        tasks=swarm.tasks,
        predicted=predicted,
        observed=swarm.Y,
        std=std,
        objective_predicted=predicted @ weights,
        objective_observed=swarm.Y @ weights,
        objective_std=objective_std,
        beyond=beyond,
    )


def _beyond(surrogate: Surrogate, Q: Array) -> NDArray[np.bool_]:
    """Where [n, T] a bound holds the prediction."""
    law = surrogate.fitted_law
    return np.zeros((len(Q), len(surrogate.tasks)), dtype=bool) if law is None else law.beyond(Q)


def _errors(predicted: Array, observed: Array, std: Array) -> dict[str, float]:
    """Spearman, R2, mean absolute error and coverage over the observed runs; NaN where they are undefined."""
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
