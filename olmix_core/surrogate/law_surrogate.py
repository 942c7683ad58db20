"""A fitted surrogate: predicts bits per byte of every task for any mixture, and how sure it is.

Immutable, and plain JSON outside: the shape is

    {"family": ..., "domains": [{"fingerprint": ...}, ...],
     "tasks": {name: {"c", "A": [...]} or {"c", "b", "a": [...], "gamma"}}, "settings": {...},
     "flags": {task: reason}, "notes": [...], "score": ..., "pool": {...} or null, "errors": {what the error bars need}}

A domain may carry other fields (a label); they are ignored when read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np

from olmix_core.errors import FitError
from olmix_core.mixture import Array
from olmix_core.surrogate.regression.laws import LOG_LINEAR, Law, Parameters
from olmix_core.surrogate.regression.prior import SwarmPrior
from olmix_core.surrogate.regression.uncertainty import Pooled, SandwichCovariance


def normalised(task_weights: Array | Sequence[float] | None, tasks: Sequence[str]) -> Array:
    """Task weights [T] that sum to 1; None means equal. Raises FitError for weights that cannot be
    meant.
    """
    if task_weights is None:
        return np.full(len(tasks), 1.0 / len(tasks))
    weights = np.asarray(task_weights, dtype=np.float64)
    usable = weights.shape == (len(tasks),) and np.isfinite(weights).all() and (weights >= 0).all()
    if not usable or weights.sum() <= 0:
        raise FitError(f"task weights must be {len(tasks)} numbers >= 0, not all 0; found {weights.tolist()}")
    shares: Array = weights / weights.sum()
    return shares


@dataclass(frozen=True)
class LawSurrogate:
    """The fitted law of T tasks over m leaves.

    leaves [m] and tasks [T] name the columns in which mixtures are given and predictions returned.
    For the log-linear law parameters hold the paper's form, b = 0 and v = A. ridge [T] and loss [T]
    (mean Huber loss) are those of the fit; score is the mean over tasks of the leave-one-out error
    as a share of the task's spread; flags names tasks whose prediction needs caution and says why;
    notes are remarks on the whole fit; pool says how runs of several swarms were taken together.
    """

    law: Law
    leaves: tuple[str, ...]
    tasks: tuple[str, ...]
    parameters: Parameters
    ridge: Array
    loss: Array
    huber_delta: float
    score: float
    influence: SandwichCovariance
    pool: SwarmPrior | None = None
    flags: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """`log_linear` or `diminishing_returns`."""
        return self.law.family

    @property
    def is_convex(self) -> bool:
        """Both laws are convex in the mixture."""
        return True

    @property
    def gamma(self) -> float | None:
        """The power of diminishing returns; None for the log-linear law."""
        return self.law.gamma

    def predict(self, Q: Array) -> Array:
        """BPB [n, T] of mixtures Q [n, m]."""
        return self.parameters.predict(self.law.features(self._mixtures(Q)))

    def gradient(self, q: Array) -> Array:
        """d f_t / d q_j [T, m] at one mixture q [m], BPB per unit of weight."""
        Q = self._mixtures(q[None])
        decay = self.parameters.decay(self.law.features(Q))[0]
        gradient: Array = decay[:, None] * self.parameters.v * self.law.slopes(Q[0])
        return gradient

    def std(self, Q: Array) -> Array:
        """Standard deviation [n, T] of each task's predicted BPB at Q [n, m] (the law's, without a
        new run's noise).
        """
        return self.influence.task_std(self._mixtures(Q))

    def objective(self, Q: Array, task_weights: Array | None = None) -> Array:
        """Weighted mean BPB [n] at Q [n, m]; weights [T] are normalised, None means equal."""
        return self.predict(Q) @ normalised(task_weights, self.tasks)

    def objective_stds(self, Q: Array, task_weights: Array | None = None) -> Array:
        """Standard deviation [n] of the weighted mean BPB at Q [n, m]."""
        return self.influence.objective_std(self._mixtures(Q), normalised(task_weights, self.tasks), None)

    def objective_std(self, q: Array, task_weights: Array | None = None, reference: Array | None = None) -> float:
        """Standard deviation of the weighted mean BPB at q [m], or of its difference to `reference`
        [m].
        """
        weights = normalised(task_weights, self.tasks)
        if reference is not None:
            reference = self._mixtures(reference[None])[0]
        return float(self.influence.objective_std(self._mixtures(q[None]), weights, reference)[0])

    def objective_std_gradient(self, q: Array, task_weights: Array | None = None) -> tuple[float, Array]:
        """Standard deviation of the weighted mean BPB at q [m], and its slope [m] there."""
        weights = normalised(task_weights, self.tasks)
        return self.influence.objective_std_gradient(self._mixtures(q[None])[0], weights)

    def noise(self) -> Array:
        """Standard deviation [T] of one run's measured BPB around the law: a prediction interval
        adds its square.
        """
        return self.influence.noise

    def objective_noise(self, task_weights: Array | None = None) -> float:
        """The same for the weighted mean BPB; noise that the tasks of one run share is counted."""
        return self.influence.objective_noise(normalised(task_weights, self.tasks))

    def _mixtures(self, Q: Array) -> Array:
        Q = np.asarray(Q, dtype=np.float64)
        if Q.ndim != 2 or Q.shape[1] != len(self.leaves):
            raise FitError(f"mixtures of shape {Q.shape}; expected [n, {len(self.leaves)}], a column per leaf")
        return Q

    @cached_property
    def _json_tasks(self) -> dict[str, dict[str, Any]]:
        p = self.parameters
        if self.family == LOG_LINEAR:
            return {task: {"c": float(p.c[t]), "A": p.v[t].tolist()} for t, task in enumerate(self.tasks)}
        return {
            task: {
                "c": float(p.c[t]),
                "b": float(p.b[t]),
                "a": p.v[t].tolist(),
                "gamma": self.gamma,
            }
            for t, task in enumerate(self.tasks)
        }

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values that `from_json` turns into an equal surrogate, error bars included."""
        return {
            "family": self.family,
            "domains": [{"fingerprint": leaf} for leaf in self.leaves],
            "tasks": self._json_tasks,
            "settings": {
                "huber_delta": self.huber_delta,
                "gamma": self.gamma,
                "ridge": self.ridge.tolist(),
            },
            "flags": dict(self.flags),
            "notes": list(self.notes),
            "score": self.score,
            "pool": self.pool.to_json() if self.pool else None,
            "errors": {
                "loss": self.loss.tolist(),
                "mixtures": self.influence.X.tolist(),
                "weights": self.influence.weights.tolist(),
                "left_out": self.influence.errors.tolist(),
                "pooled": _lists(self.influence.pooled) if self.influence.pooled else None,
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The surrogate that `to_json` wrote. Raises FitError where a field is missing or of
        another shape.
        """
        try:
            family, tasks = data["family"], data["tasks"]
            law = Law(family, data["settings"]["gamma"])
            slopes = "A" if family == LOG_LINEAR else "a"
            parameters = Parameters(
                c=_array([task["c"] for task in tasks.values()]),
                b=_array([task.get("b", 0.0) for task in tasks.values()]),
                v=_array([task[slopes] for task in tasks.values()]),
            )
            errors = data["errors"]
            return cls(
                law=law,
                leaves=tuple(domain["fingerprint"] for domain in data["domains"]),
                tasks=tuple(tasks),
                parameters=parameters,
                ridge=_array(data["settings"]["ridge"]),
                loss=_array(errors["loss"]),
                huber_delta=float(data["settings"]["huber_delta"]),
                score=float(data["score"]),
                influence=SandwichCovariance(
                    law=law,
                    parameters=parameters,
                    X=_array(errors["mixtures"]),
                    weights=_array(errors["weights"]),
                    errors=_array(errors["left_out"]),
                    pooled=_pooled(errors["pooled"]) if errors["pooled"] else None,
                ),
                pool=SwarmPrior.from_json(data["pool"]) if data["pool"] else None,
                flags=dict(data["flags"]),
                notes=tuple(data["notes"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise FitError(f"not a surrogate as this version writes it: {error!r}; fit it again") from error


def _array(values: Sequence[Any]) -> Array:
    return np.asarray(values, dtype=np.float64)


def _lists(pooled: Pooled) -> dict[str, Any]:
    return {
        "levels": pooled.levels.tolist(),
        "offsets": pooled.offsets.tolist(),
        "precision": pooled.precision.tolist(),
    }


def _pooled(data: Mapping[str, Any]) -> Pooled:
    return Pooled(_array(data["levels"]), _array(data["offsets"]), _array(data["precision"]))
