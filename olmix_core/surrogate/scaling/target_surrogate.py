"""A surrogate at the scale of the target run, made from a law at the scale of the proxies and from anchors.

It is a `Surrogate`, so that proposals and intervals are made of it as of any other. Its predictions have the form of
the law (`fitted_law`) with other coefficients, so that a proposal stays a convex problem.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from olmix_core.mixture import Array
from olmix_core.serialization import JsonMapping
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.regression.laws import Parameters
from olmix_core.surrogate.scaling.anchors import Anchors
from olmix_core.surrogate.scaling.base_law import BaseLaw
from olmix_core.surrogate.scaling.errors import TargetErrors, task_correlation
from olmix_core.surrogate.scaling.learning import learn
from olmix_core.surrogate.scaling.nearest_law import nearest_coefficients
from olmix_core.surrogate.scaling.scale import Scale
from olmix_core.surrogate.scaling.transfer import Hyperparameters, TransferModel
from olmix_core.surrogate.task_weights import normalised

TARGET_FORMAT = 1  # of `to_json`
_STEP = 1e-5  # of a weight, for slopes of the error
_LEAST_SLOPE = 0.02  # of s at the target, so that a law keeps its direction


@dataclass(frozen=True)
class TargetSurrogate:
    """Predictions of T tasks over m leaves at the scale of the target.

    Attributes:
        base: The law at the scale of the proxies.
        target: The scale that is predicted at.
        anchors: Runs at other scales than that of the proxies.
        hyper: What was learnt from them.
    """

    base: BaseLaw
    target: Scale
    anchors: Anchors
    hyper: Hyperparameters

    @classmethod
    def carry(cls, law: LawSurrogate, scale: Scale, target: Scale, anchors: Anchors) -> Self:
        """Carry a law to another scale.

        Args:
            law: The law.
            scale: The scale of its runs.
            target: The scale to predict at.
            anchors: Runs at other scales.

        Returns:
            The surrogate at the target.
        """
        base = BaseLaw(law, scale)
        return cls(base, target, anchors, learn(TransferModel(base, target, anchors.canonical())))

    def at(self, target: Scale) -> Self:
        """Predict at another scale, with what was learnt.

        Args:
            target: The scale.

        Returns:
            The surrogate there.
        """
        return replace(self, target=target)

    @cached_property
    def _errors(self) -> TargetErrors:
        model = TransferModel(self.base, self.target, self.anchors)
        return TargetErrors(model, self.hyper, model.gains(self.hyper))

    @property
    def largest(self) -> Scale:
        """The largest scale that was measured, by FLOPs."""
        return max((self.base.scale, *self.anchors.scales), key=lambda scale: scale.flops)

    @property
    def slopes(self) -> Array:
        """[T] change of a task's BPB at the target per BPB at the scale of the proxies."""
        return self._errors.level * self._errors.slope

    @cached_property
    def fitted_law(self) -> LawSurrogate:
        """The law c + exp(b + phi(q) . v) at the target; its covariance is that of the proxies' law."""
        law, errors = self.base.law, self._errors
        slope = np.maximum(errors.slope, _LEAST_SLOPE)

        def at_target(bpb: Array) -> Array:
            return np.asarray(errors.level * (self.base.centre + slope * (bpb - self.base.centre)))

        terms = self.base.terms(law.trained_mixtures)
        moved = np.einsum("tnm,tm->tn", terms.response, errors.response)
        means = errors.level[:, None] * (self.base.centre[:, None] + slope[:, None] * terms.away + moved)
        c = at_target(law.parameters.c)
        b, v = nearest_coefficients(law, law.trained_mixtures, means - c[:, None])
        bounds = law.parameters.bounds
        moved_bounds = None if bounds is None else (at_target(bounds[0]), at_target(bounds[1]))
        parameters = Parameters(c, b, v, moved_bounds)
        return replace(law, parameters=parameters, covariance=replace(law.covariance, parameters=parameters))

    @property
    def family(self) -> str:
        """Family of the law."""
        return self.base.law.family

    @property
    def gamma(self) -> float | None:
        """Power of the law."""
        return self.base.law.gamma

    @property
    def leaves(self) -> tuple[str, ...]:
        """[m] names of the columns of a mixture."""
        return self.base.law.leaves

    @property
    def tasks(self) -> tuple[str, ...]:
        """[T] names of the columns of a prediction."""
        return self.base.law.tasks

    @property
    def flags(self) -> Mapping[str, str]:
        """{task: reason} for tasks whose prediction needs caution."""
        return self.base.law.flags

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on the law of the proxies."""
        return self.base.law.notes

    @property
    def is_convex(self) -> bool:
        """True: laws are convex in the mixture."""
        return True

    @property
    def is_smooth(self) -> bool:
        """True: laws have gradients."""
        return True

    @property
    def trained_mixtures(self) -> Array:
        """[K, m] the mixtures of the proxies."""
        return self.base.law.trained_mixtures

    @property
    def proposes_runs_only(self) -> bool:
        """False: any mixture may be proposed."""
        return False

    def predict(self, Q: Array) -> Array:
        """Predict every task at the target.

        Args:
            Q: [n, m] mixtures.

        Returns:
            [n, T] BPB.
        """
        return self.fitted_law.predict(Q)

    def gradient(self, q: Array) -> Array:
        """Differentiate every task.

        Args:
            q: [m] one mixture.

        Returns:
            [T, m] BPB per unit of weight.
        """
        return self.fitted_law.gradient(q)

    def std(self, Q: Array) -> Array:
        """Estimate the error of predictions, without the noise of a new run.

        Args:
            Q: [n, m] mixtures.

        Returns:
            [n, T] standard deviations in BPB.
        """
        influence = self._errors.influence(self.base.terms(Q), self.predict(Q))
        rows = [self._errors.variances(influence, unit) for unit in np.eye(len(self.tasks))]
        return np.hypot(np.sqrt(np.array(rows).T), self._doubt(Q))

    def noise(self, Q: Array) -> Array:
        """Estimate the scatter of runs at the target around the prediction.

        Args:
            Q: [n, m] mixtures of the runs.

        Returns:
            [n, T] standard deviations of one run's measured BPB.
        """
        return np.asarray(self._errors.level * self.hyper.noise * self.base.law.noise(Q))

    def objective(self, Q: Array, task_weights: Array | None = None) -> Array:
        """Predict the weighted mean over tasks at the target.

        Args:
            Q: [n, m] mixtures.
            task_weights: [T] weights, normalised to sum to 1; None means equal.

        Returns:
            [n] BPB.
        """
        return self.fitted_law.objective(Q, task_weights)

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
        influence, doubt = self._errors.influence(self.base.terms(Q), self.predict(Q)), self._doubt(Q) @ weights
        if reference is not None:
            one = reference[None]
            influence = influence.minus(self._errors.influence(self.base.terms(one), self.predict(one)))
            doubt = doubt + self._doubt(one)[0] @ weights
        return np.hypot(np.sqrt(self._errors.variances(influence, weights)), doubt)

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
        """Differentiate the error of the objective by finite differences.

        Args:
            q: [m] one mixture.
            task_weights: [T] weights, normalised to sum to 1; None means equal.

        Returns:
            The standard deviation in BPB, and its slope [m].
        """
        steps = _STEP * np.eye(len(q))
        ends = self.objective_stds(np.vstack([q + steps, np.maximum(q - steps, 0.0)]), task_weights)
        widths = _STEP + np.minimum(q, _STEP)
        return self.objective_std(q, task_weights), np.asarray((ends[: len(q)] - ends[len(q) :]) / widths)

    def objective_noises(self, Q: Array, task_weights: Array | None = None) -> Array:
        """Estimate the scatter of runs at the target around the objective.

        Args:
            Q: [n, m] mixtures of the runs.
            task_weights: [T] weights, normalised to sum to 1; None means equal.

        Returns:
            [n] standard deviations of one run's measured objective, in BPB.
        """
        scaled = self.noise(Q) * normalised(task_weights, self.tasks)
        return np.asarray(np.sqrt(np.sum((scaled @ task_correlation(self._errors.model)) * scaled, axis=1)))

    def to_json(self) -> JsonMapping:
        """Write the surrogate as JSON.

        Returns:
            Plain JSON values, from which `target_json.read_target` makes an equal surrogate.
        """
        return {
            "format_version": TARGET_FORMAT,
            "law": self.base.law.to_json(),
            "scale": self.base.scale.to_json(),
            "target": self.target.to_json(),
            "anchors": self.anchors.to_json(),
            "hyperparameters": {name: np.asarray(value).tolist() for name, value in asdict(self.hyper).items()},
        }

    def _doubt(self, Q: Array) -> Array:
        """[n, T] error of predictions that a bound of the law holds, as at the scale of the proxies."""
        return self.fitted_law.parameters.doubt(self.base.law.law.features(Q))
