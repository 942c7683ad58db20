"""A comparison family as a `Model`: fitted to all runs, and once more without each fifth of them.

The refits are the held-out predictions of cross-validation and, as a delete-a-group jackknife (Kott 2001), the error of
the whole fit: with G groups, var g = (G - 1) / G sum_k (g_k - mean g)^2 for anything g that is predicted, a difference
between two mixtures included. What is kept on record are the runs, not trees or kernels: fitting again gives the same.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from olmix_core.errors import FitError
from olmix_core.mixture import Array
from olmix_core.surrogate.baselines.regressors import REGRESSORS, SMOOTH, Predictor
from olmix_core.surrogate.cross_validation import Diagnostics, assign_folds
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.law_surrogate import normalised

GROUPS = 5
_STEP = 1e-5  # of a weight, for slopes


@dataclass(frozen=True)
class Jackknifed:
    """A comparison family fitted to `evidence`, with run weights [K]."""

    family: str
    evidence: SwarmData
    run_weights: Array
    seed: int = 0  # of the shuffle that deals runs to groups

    def __post_init__(self) -> None:
        seen = ~np.isnan(self.evidence.Y) & (self.run_weights > 0)[:, None]
        for t, task in enumerate(self.evidence.tasks):
            if min(seen[self._groups != k, t].sum() for k in range(GROUPS)) < 2:
                raise FitError(
                    f"family {self.family!r}: task {task!r} was evaluated in {seen[:, t].sum()} runs; expected at"
                    f" least {2 * GROUPS}, or a law (log_linear, diminishing_returns)"
                )

    @property
    def gamma(self) -> None:
        return None

    @property
    def is_convex(self) -> bool:
        return False

    @property
    def flags(self) -> Mapping[str, str]:
        return {}

    @property
    def leaves(self) -> tuple[str, ...]:
        return self.evidence.leaves

    @property
    def tasks(self) -> tuple[str, ...]:
        return self.evidence.tasks

    @property
    def notes(self) -> tuple[str, ...]:
        return (f"family {self.family} is not convex: the proposal is the best of a search, without certificate",)

    @property
    def is_smooth(self) -> bool:
        """Whether slopes lead anywhere."""
        return self.family in SMOOTH

    @property
    def candidates(self) -> Array:
        """[K, m] the mixtures that were run; for `search` the only ones that can be proposed."""
        return self.evidence.X

    @property
    def only_candidates(self) -> bool:
        return self.family == "search"

    @cached_property
    def _groups(self) -> NDArray[np.intp]:
        return assign_folds(self.evidence.runs, GROUPS, self.seed)

    def _fit(self, rows: NDArray[np.bool_]) -> list[Predictor]:
        """A predictor per task, from some of the runs; in the order of their ids, so that theirs changes nothing."""
        order = np.array(sorted(range(len(rows)), key=self.evidence.runs.__getitem__), dtype=np.intp)
        leaves = np.array(sorted(range(len(self.leaves)), key=self.leaves.__getitem__), dtype=np.intp)

        def one(t: int) -> Predictor:
            used = order[(rows & ~np.isnan(self.evidence.Y[:, t]) & (self.run_weights > 0))[order]]
            X, y = self.evidence.X[np.ix_(used, leaves)], self.evidence.Y[used, t]
            predict = REGRESSORS[self.family](X, y, self.run_weights[used])
            return lambda Q: predict(np.ascontiguousarray(Q[:, leaves]))

        return [one(t) for t in range(len(self.tasks))]

    @cached_property
    def _whole(self) -> list[Predictor]:
        return self._fit(np.ones(len(self.evidence.runs), dtype=bool))

    @cached_property
    def _without(self) -> list[list[Predictor]]:
        return [self._fit(self._groups != group) for group in range(GROUPS)]

    def predict(self, Q: Array) -> Array:
        return _predict(self._whole, Q)

    def gradient(self, q: Array) -> Array:
        return _slope(self.predict, q).T

    def _spread(self, values: Sequence[Array]) -> Array:
        """Jackknife standard deviation from the values of each refit."""
        stacked = np.stack(values)
        scatter = np.sum((stacked - stacked.mean(axis=0)) ** 2, axis=0)
        return np.asarray(np.sqrt((GROUPS - 1) / GROUPS * scatter))

    def std(self, Q: Array) -> Array:
        return self._spread([_predict(refit, Q) for refit in self._without])

    @cached_property
    def _held_out(self) -> Array:
        """[K, T] what the refit without a run predicts for it."""
        predicted = np.empty(self.evidence.Y.shape)
        for group, refit in enumerate(self._without):
            rows = self._groups == group
            predicted[rows] = _predict(refit, self.evidence.X[rows])
        return predicted

    def noise(self) -> Array:
        """From the held-out errors, which contain the error of the fit as well: somewhat too large."""
        return np.asarray(np.sqrt(np.nanmean((self._held_out - self.evidence.Y) ** 2, axis=0)))

    def objective(self, Q: Array, task_weights: Array | None = None) -> Array:
        return np.asarray(self.predict(Q) @ normalised(task_weights, self.tasks))

    def objective_stds(self, Q: Array, task_weights: Array | None = None) -> Array:
        return self._objective_std(Q, normalised(task_weights, self.tasks), None)

    def objective_std(self, q: Array, task_weights: Array | None = None, reference: Array | None = None) -> float:
        return float(self._objective_std(q[None], normalised(task_weights, self.tasks), reference)[0])

    def _objective_std(self, Q: Array, weights: Array, reference: Array | None) -> Array:
        def value(refit: list[Predictor]) -> Array:
            at = _predict(refit, Q) @ weights
            return at if reference is None else at - _predict(refit, reference[None]) @ weights

        return self._spread([value(refit) for refit in self._without])

    def objective_std_gradient(self, q: Array, task_weights: Array | None = None) -> tuple[float, Array]:
        weights = normalised(task_weights, self.tasks)
        return self.objective_std(q, weights), _slope(lambda Q: self._objective_std(Q, weights, None), q)

    def objective_noise(self, task_weights: Array | None = None) -> float:
        errors = (self._held_out - self.evidence.Y) @ normalised(task_weights, self.tasks)
        complete = errors[~np.isnan(errors)]
        return float(np.sqrt(np.mean(complete**2))) if len(complete) else float(np.sqrt(np.mean(self.noise() ** 2)))

    def diagnostics(self, task_weights: Array | None = None) -> Diagnostics:
        """The held-out predictions of the refits, and their errors."""
        weights = normalised(task_weights, self.tasks)
        X = self.evidence.X
        return Diagnostics(
            family=self.family,
            gamma=None,
            runs=self.evidence.runs,
            tasks=self.tasks,
            predicted=self._held_out,
            observed=self.evidence.Y,
            std=np.hypot(self.std(X), self.noise()),
            objective_predicted=self._held_out @ weights,
            objective_observed=self.evidence.Y @ weights,
            objective_std=np.hypot(self.objective_stds(X, task_weights), self.objective_noise(task_weights)),
        )

    def to_json(self) -> dict[str, Any]:
        measured = self.evidence.Y.T.tolist()
        return {
            "family": self.family,
            "domains": [{"fingerprint": leaf} for leaf in self.leaves],
            "tasks": {
                # NaN is no JSON
                task: {"bpb": [None if math.isnan(bpb) else bpb for bpb in column]}
                for task, column in zip(self.tasks, measured, strict=True)
            },
            "runs": list(self.evidence.runs),
            "mixtures": self.evidence.X.tolist(),
            "weights": self.run_weights.tolist(),
            "seed": self.seed,
            "flags": {},
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The model that `to_json` wrote. Raises FitError where a field is missing or of another shape."""
        try:
            evidence = SwarmData(
                X=np.asarray(data["mixtures"], dtype=np.float64),
                Y=np.asarray([task["bpb"] for task in data["tasks"].values()], dtype=np.float64).T,
                runs=tuple(data["runs"]),
                leaves=tuple(domain["fingerprint"] for domain in data["domains"]),
                tasks=tuple(data["tasks"]),
            )
            return cls(str(data["family"]), evidence, np.asarray(data["weights"], dtype=np.float64), int(data["seed"]))
        except (KeyError, TypeError, ValueError) as error:
            raise FitError(f"not a surrogate as this version writes it: {error!r}; fit it again") from error


def _predict(predictors: Sequence[Predictor], Q: Array) -> Array:
    return np.stack([predict(Q) for predict in predictors], axis=1)


def _slope(value: Any, q: Array) -> Array:
    """[m, ...] differences of `value` [n, ...] around q [m], one-sided where a weight would fall below 0."""
    m = len(q)
    down = np.minimum(_STEP, q)
    points = np.concatenate([q + _STEP * np.eye(m), q - down * np.eye(m)])
    values = value(points)
    step = (_STEP + down).reshape(m, *[1] * (values.ndim - 1))
    return np.asarray((values[:m] - values[m:]) / step)
