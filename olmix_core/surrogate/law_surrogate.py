"""A fitted law of every task: predicts bits per byte (BPB) of any mixture, with the error of the prediction.

On disk (surrogate.json) it is plain JSON, a `LawJSON`. A domain may have further fields (a label), which are ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from olmix_core.errors import FitError
from olmix_core.mixture import Array
from olmix_core.surrogate.regression.bounds import estimated_bounds
from olmix_core.surrogate.regression.laws import Law, Parameters
from olmix_core.surrogate.regression.prior import SwarmPrior
from olmix_core.surrogate.regression.shared_prior import SharedPrior
from olmix_core.surrogate.regression.uncertainty import SandwichCovariance
from olmix_core.surrogate.surrogate_json import LawJSON, bounds_json, column_names, read_law, tasks_json
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
        shared_prior: The prior that was learnt from all tasks; None where each task has a ridge of its own.
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
    shared_prior: SharedPrior | None = None
    flags: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """`log_linear` or `diminishing_returns`."""
        return self.law.family

    @property
    def name(self) -> str:
        """The family, and what its coefficients are held by."""
        return self.family if self.shared_prior is None else f"{self.family} under a shared prior"

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
    def unbounded(self) -> Self:
        """The law as it is, with predictions of any size: a convex function, for solvers."""
        return self if self.parameters.bounds is None else self._with_bounds(None)

    @property
    def gamma(self) -> float | None:
        """The power of diminishing returns; None where tasks differ, and for the log-linear law."""
        return self.law.common_gamma

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
            [T, m] d f_t / d q_j, BPB per unit of weight; 0 where a bound holds the prediction.
        """
        Q = self._mixtures(q[None])
        features = self.law.features(Q)
        decay = np.where(self.parameters.beyond(features), 0.0, self.parameters.decay(features))[0]
        return np.asarray(decay[:, None] * self.parameters.v * self.law.slopes(Q[0]), dtype=np.float64)

    def beyond(self, Q: Array) -> NDArray[np.bool_]:
        """Find predictions that a bound holds, because the law itself is beyond it.

        Args:
            Q: [n, m] mixtures.

        Returns:
            [n, T].
        """
        return self.parameters.beyond(self.law.features(self._mixtures(Q)))

    def std(self, Q: Array) -> Array:
        """Estimate the error of the law, without the noise of a new run.

        Args:
            Q: [n, m] mixtures.

        Returns:
            [n, T] standard deviations in BPB.
        """
        Q = self._mixtures(Q)
        return np.hypot(self.covariance.task_std(Q), self.parameters.doubt(self.law.features(Q)))

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
        weights, Q = normalised(task_weights, self.tasks), self._mixtures(Q)
        doubt = self.parameters.doubt(self.law.features(Q)) @ weights
        if reference is not None:
            reference = self._mixtures(reference[None])[0]
            doubt += self.parameters.doubt(self.law.features(reference[None]))[0] @ weights
        return np.hypot(self.covariance.objective_std(Q, weights, reference), doubt)

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
        return self.covariance.objective_std_gradient(self._mixtures(q[None])[0], normalised(task_weights, self.tasks))

    def noise(self, Q: Array) -> Array:
        """Estimate the scatter of runs around the law; a prediction interval adds its square.

        Args:
            Q: [n, m] mixtures of the runs.

        Returns:
            [n, T] standard deviations of one run's measured BPB.
        """
        return self.covariance.noise * self.covariance.noise_scales(self._mixtures(Q))

    def objective_noises(self, Q: Array, task_weights: Array | None = None) -> Array:
        """Estimate the scatter of runs around the objective, with the noise that tasks of one run share.

        Args:
            Q: [n, m] mixtures of the runs.
            task_weights: [T] weights, normalised to sum to 1; None means equal.

        Returns:
            [n] standard deviations of one run's measured objective, in BPB.
        """
        return self.covariance.objective_noises(self._mixtures(Q), normalised(task_weights, self.tasks))

    def _mixtures(self, Q: Array) -> Array:
        Q = np.asarray(Q, dtype=np.float64)
        if Q.ndim != 2 or Q.shape[1] != len(self.leaves):
            raise FitError(f"mixtures of shape {Q.shape}; expected [n, {len(self.leaves)}], a column per leaf")
        return Q

    def _with_bounds(self, bounds: tuple[Array, Array] | None) -> Self:
        parameters = replace(self.parameters, bounds=bounds)
        return replace(self, parameters=parameters, covariance=replace(self.covariance, parameters=parameters))

    def to_json(self) -> LawJSON:
        """Write the surrogate as JSON, error bars included.

        Returns:
            Plain JSON values, from which `from_json` makes an equal surrogate.
        """
        data: LawJSON = {
            "family": self.family,
            "domains": [{"fingerprint": leaf} for leaf in self.leaves],
            "tasks": dict(zip(self.tasks, tasks_json(self.law, self.parameters), strict=True)),
            "settings": {"huber_delta": self.huber_delta, "gamma": self.gamma, "ridge": self.ridge.tolist()},
            "flags": dict(self.flags),
            "notes": list(self.notes),
            "score": self.score,
            "pool": self.prior.to_json() if self.prior else None,
            "bounds": bounds_json(self.parameters),
            "errors": {"loss": self.loss.tolist(), **self.covariance.to_json()},
        }
        return data if self.shared_prior is None else {**data, "shared_prior": self.shared_prior.to_json()}

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
            law, parameters = read_law(data)
            tasks, errors = data["tasks"], data["errors"]
            surrogate = cls(
                law=law,
                leaves=column_names(data["domains"]),
                tasks=tuple(tasks),
                parameters=parameters,
                ridge=np.asarray(data["settings"]["ridge"], dtype=np.float64),
                loss=np.asarray(errors["loss"], dtype=np.float64),
                huber_delta=float(data["settings"]["huber_delta"]),
                score=float(data["score"]),
                covariance=SandwichCovariance.from_json(law, parameters, errors),
                prior=SwarmPrior.from_json(data["pool"]) if data["pool"] else None,
                shared_prior=SharedPrior.from_json(data["shared_prior"]) if "shared_prior" in data else None,
                flags=dict(data["flags"]),
                notes=tuple(data["notes"]),
            )
            if "bounds" in data:
                return surrogate
            # A law of an earlier version: what was measured is estimated from its fit.
            fitted, weights = surrogate.predict(surrogate.trained_mixtures), surrogate.covariance.weights
            return surrogate._with_bounds(estimated_bounds(fitted, weights, surrogate.covariance.noise))
        except (KeyError, TypeError, ValueError) as error:
            raise FitError(f"not a surrogate as this version writes it: {error!r}; fit it again") from error
