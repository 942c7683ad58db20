"""A fitted law of every task: predicts bits per byte (BPB) of any mixture, with the error of the prediction.

On disk (surrogate.json) it is plain JSON, a `LawJSON`. A domain may have further fields (a label), which are ignored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from olmix_core.errors import FitError
from olmix_core.mixture import Array
from olmix_core.surrogate.regression.laws import Law, Parameters
from olmix_core.surrogate.regression.prior import SwarmPrior
from olmix_core.surrogate.regression.uncertainty import Pooled, SandwichCovariance
from olmix_core.surrogate.surrogate_json import LawJSON, PooledJSON, TaskJSON, column_names
from olmix_core.surrogate.task_weights import normalised


@dataclass(frozen=True)
class LawSurrogate:
    """The fitted law of T tasks over m leaves.

    Attributes:
        law: Form of the law.
        leaves: [m] names of the columns of a mixture.
        tasks: [T] names of the columns of a prediction.
        parameters: Parameters of every task; for the log-linear law in the paper's form, b = 0 and v = A.
        ridge: [T] ridge of the fit.
        loss: [T] mean Huber loss of the fit.
        huber_delta: BPB beyond which the Huber loss is linear.
        score: Mean over tasks of the leave-one-out error as a share of the task's spread.
        covariance: Covariance of the parameters and scatter of the runs.
        prior: How runs of several swarms were related; None where all are of one swarm.
        flags: {task: reason} for tasks whose prediction needs caution.
        notes: Remarks on the whole fit.
    """

    law: Law
    leaves: tuple[str, ...]
    tasks: tuple[str, ...]
    parameters: Parameters
    ridge: Array
    loss: Array
    huber_delta: float
    score: float
    covariance: SandwichCovariance
    prior: SwarmPrior | None = None
    flags: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """`log_linear` or `diminishing_returns`."""
        return self.law.family

    @property
    def is_convex(self) -> bool:
        """True: both laws are convex in the mixture."""
        return True

    @property
    def is_smooth(self) -> bool:
        """True: both laws have gradients."""
        return True

    @property
    def fitted_law(self) -> Self:
        """The surrogate itself."""
        return self

    @property
    def trained_mixtures(self) -> Array:
        """[K, m] the mixtures of the runs, in the order of their ids."""
        return self.covariance.X

    @property
    def proposes_runs_only(self) -> bool:
        """False: any mixture may be proposed."""
        return False

    @property
    def gamma(self) -> float | None:
        """The power of diminishing returns; None for the log-linear law."""
        return self.law.gamma

    def predict(self, Q: Array) -> Array:
        """Predict every task.

        Args:
            Q: [n, m] mixtures.

        Returns:
            [n, T] BPB.

        Raises:
            FitError: Q has another number of columns.
        """
        return self.parameters.predict(self.law.features(self._mixtures(Q)))

    def gradient(self, q: Array) -> Array:
        """Differentiate every task.

        Args:
            q: [m] one mixture.

        Returns:
            [T, m] d f_t / d q_j, BPB per unit of weight.
        """
        Q = self._mixtures(q[None])
        decay = self.parameters.decay(self.law.features(Q))[0]
        gradient: Array = decay[:, None] * self.parameters.v * self.law.slopes(Q[0])
        return gradient

    def std(self, Q: Array) -> Array:
        """Estimate the error of the law, without the noise of a new run.

        Args:
            Q: [n, m] mixtures.

        Returns:
            [n, T] standard deviations in BPB.
        """
        return self.covariance.task_std(self._mixtures(Q))

    def objective(self, Q: Array, task_weights: Array | None = None) -> Array:
        """Predict the weighted mean over tasks.

        Args:
            Q: [n, m] mixtures.
            task_weights: [T] weights, normalised to sum to 1; None means equal.

        Returns:
            [n] BPB.
        """
        return self.predict(Q) @ normalised(task_weights, self.tasks)

    def objective_stds(self, Q: Array, task_weights: Array | None = None, reference: Array | None = None) -> Array:
        """Estimate the error of the objective at several mixtures, without the noise of a new run.

        Args:
            Q: [n, m] mixtures.
            task_weights: [T] weights, normalised to sum to 1; None means equal.
            reference: [m] a mixture; where it is given, the error of differences to it.

        Returns:
            [n] standard deviations in BPB.
        """
        weights = normalised(task_weights, self.tasks)
        if reference is not None:
            reference = self._mixtures(reference[None])[0]
        return self.covariance.objective_std(self._mixtures(Q), weights, reference)

    def objective_std(self, q: Array, task_weights: Array | None = None, reference: Array | None = None) -> float:
        """Estimate the error of the objective at one mixture, without the noise of a new run.

        Args:
            q: [m] the mixture.
            task_weights: [T] weights, normalised to sum to 1; None means equal.
            reference: [m] a mixture; where it is given, the error of the difference to it.

        Returns:
            Standard deviation in BPB.
        """
        return float(self.objective_stds(q[None], task_weights, reference)[0])

    def objective_std_gradient(self, q: Array, task_weights: Array | None = None) -> tuple[float, Array]:
        """Compute the standard deviation of the objective and its gradient.

        Args:
            q: [m] one mixture.
            task_weights: [T] weights, normalised to sum to 1; None means equal.

        Returns:
            The standard deviation in BPB, and its gradient [m].
        """
        weights = normalised(task_weights, self.tasks)
        return self.covariance.objective_std_gradient(self._mixtures(q[None])[0], weights)

    def noise(self) -> Array:
        """Estimate the scatter of runs around the law; a prediction interval adds its square.

        Returns:
            [T] standard deviation of one run's measured BPB.
        """
        return self.covariance.noise

    def objective_noise(self, task_weights: Array | None = None) -> float:
        """Estimate the scatter of runs around the objective, with the noise that tasks of one run share.

        Args:
            task_weights: [T] weights, normalised to sum to 1; None means equal.

        Returns:
            Standard deviation of one run's measured objective, in BPB.
        """
        return self.covariance.objective_noise(normalised(task_weights, self.tasks))

    def _mixtures(self, Q: Array) -> Array:
        Q = np.asarray(Q, dtype=np.float64)
        if Q.ndim != 2 or Q.shape[1] != len(self.leaves):
            raise FitError(f"mixtures of shape {Q.shape}; expected [n, {len(self.leaves)}], a column per leaf")
        return Q

    def _task_json(self, t: int) -> TaskJSON:
        p = self.parameters
        if self.gamma is None:
            return {"c": float(p.c[t]), "A": p.v[t].tolist()}
        return {"c": float(p.c[t]), "b": float(p.b[t]), "a": p.v[t].tolist(), "gamma": self.gamma}

    def to_json(self) -> LawJSON:
        """Write the surrogate as JSON, error bars included.

        Returns:
            Plain JSON values, from which `from_json` makes an equal surrogate.
        """
        covariance = self.covariance
        return {
            "family": self.family,
            "domains": [{"fingerprint": leaf} for leaf in self.leaves],
            "tasks": {task: self._task_json(t) for t, task in enumerate(self.tasks)},
            "settings": {
                "huber_delta": self.huber_delta,
                "gamma": self.gamma,
                "ridge": self.ridge.tolist(),
            },
            "flags": dict(self.flags),
            "notes": list(self.notes),
            "score": self.score,
            "pool": self.prior.to_json() if self.prior else None,
            "errors": {
                "loss": self.loss.tolist(),
                "mixtures": covariance.X.tolist(),
                "weights": covariance.weights.tolist(),
                "left_out": covariance.errors.tolist(),
                "pooled": _pooled_json(covariance.pooled) if covariance.pooled else None,
            },
        }

    @classmethod
    def from_json(cls, data: LawJSON) -> Self:
        """Read what `to_json` wrote.

        Args:
            data: The JSON.

        Returns:
            The surrogate.

        Raises:
            FitError: A field is missing or has another shape.
        """
        try:
            law = Law(data["family"], data["settings"]["gamma"])
            tasks, errors = data["tasks"], data["errors"]
            parameters = Parameters(
                c=_array([task["c"] for task in tasks.values()]),
                b=_array([task.get("b", 0.0) for task in tasks.values()]),
                v=_array([task["A"] if law.gamma is None else task["a"] for task in tasks.values()]),
            )
            return cls(
                law=law,
                leaves=column_names(data["domains"]),
                tasks=tuple(tasks),
                parameters=parameters,
                ridge=_array(data["settings"]["ridge"]),
                loss=_array(errors["loss"]),
                huber_delta=float(data["settings"]["huber_delta"]),
                score=float(data["score"]),
                covariance=SandwichCovariance(
                    law=law,
                    parameters=parameters,
                    X=_array(errors["mixtures"]),
                    weights=_array(errors["weights"]),
                    errors=_array(errors["left_out"]),
                    pooled=_pooled(errors["pooled"]) if errors["pooled"] else None,
                ),
                prior=SwarmPrior.from_json(data["pool"]) if data["pool"] else None,
                flags=dict(data["flags"]),
                notes=tuple(data["notes"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise FitError(f"not a surrogate as this version writes it: {error!r}; fit it again") from error


def _array(values: Sequence[float] | Sequence[Sequence[float]]) -> Array:
    return np.asarray(values, dtype=np.float64)


def _pooled_json(pooled: Pooled) -> PooledJSON:
    return {
        "levels": pooled.levels.tolist(),
        "offsets": pooled.offsets.tolist(),
        "precision": pooled.precision.tolist(),
    }


def _pooled(data: PooledJSON) -> Pooled:
    return Pooled(_array(data["levels"]), _array(data["offsets"]), _array(data["precision"]))
