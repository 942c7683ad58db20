"""The protocol of a fitted surrogate, which hides its family from everything that uses a fit.

`LawSurrogate` (the two convex laws, errors from curvature) and `JackknifeSurrogate` (any regressor, errors from refits)
implement it. Shapes: n mixtures, m leaves, T tasks, K runs; values are in bits per byte (BPB).
"""

from collections.abc import Mapping
from typing import Protocol

from olmix_core.mixture import Array
from olmix_core.serialization import JsonMapping
from olmix_core.surrogate.law_surrogate import LawSurrogate


class Surrogate(Protocol):
    """A fitted surrogate of T tasks over m leaves.

    Task weights [T] are normalised to sum to 1; None means equal weights.
    """

    @property
    def family(self) -> str:
        """Name of a registered family."""
        ...

    @property
    def gamma(self) -> float | None:
        """The power of diminishing returns; None where tasks differ, and for every other family."""
        ...

    @property
    def leaves(self) -> tuple[str, ...]:
        """[m] names of the columns of a mixture."""
        ...

    @property
    def tasks(self) -> tuple[str, ...]:
        """[T] names of the columns of a prediction."""
        ...

    @property
    def flags(self) -> Mapping[str, str]:
        """{task: reason} for tasks whose prediction needs caution."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on the whole fit."""
        ...

    @property
    def is_convex(self) -> bool:
        """Whether every task is convex in the mixture, so that a proposal has a certificate."""
        ...

    @property
    def is_smooth(self) -> bool:
        """Whether predictions have useful gradients."""
        ...

    @property
    def fitted_law(self) -> LawSurrogate | None:
        """The law c + exp(b + phi(q) . v) with the covariance of its parameters; None for other forms."""
        ...

    @property
    def trained_mixtures(self) -> Array:
        """[K, m] the mixtures of the runs."""
        ...

    @property
    def proposes_runs_only(self) -> bool:
        """Whether only the mixtures of the runs may be proposed."""
        ...

    def predict(self, Q: Array) -> Array:
        """Predict every task.

        Args:
            Q: [n, m] mixtures.

        Returns:
            [n, T] BPB.
        """
        ...

    def gradient(self, q: Array) -> Array:
        """Differentiate every task.

        Args:
            q: [m] one mixture.

        Returns:
            [T, m] d f_t / d q_j, BPB per unit of weight.
        """
        ...

    def std(self, Q: Array) -> Array:
        """Estimate the error of predictions, without the noise of a new run.

        Args:
            Q: [n, m] mixtures.

        Returns:
            [n, T] standard deviations in BPB.
        """
        ...

    def noise(self, Q: Array) -> Array:
        """Estimate the scatter of runs around the prediction.

        Args:
            Q: [n, m] mixtures of the runs.

        Returns:
            [n, T] standard deviations of one run's measured BPB.
        """
        ...

    def objective(self, Q: Array, task_weights: Array | None = None) -> Array:
        """Predict the weighted mean over tasks.

        Args:
            Q: [n, m] mixtures.
            task_weights: [T] weights.

        Returns:
            [n] BPB.
        """
        ...

    def objective_stds(self, Q: Array, task_weights: Array | None = None, reference: Array | None = None) -> Array:
        """Estimate the error of the objective at several mixtures, without the noise of a new run.

        Args:
            Q: [n, m] mixtures.
            task_weights: [T] weights.
            reference: [m] a mixture; where it is given, the error of differences to it.

        Returns:
            [n] standard deviations in BPB.
        """
        ...

    def objective_std(self, q: Array, task_weights: Array | None = None, reference: Array | None = None) -> float:
        """Estimate the error of the objective at one mixture, without the noise of a new run.

        Args:
            q: [m] the mixture.
            task_weights: [T] weights.
            reference: [m] a mixture; where it is given, the error of the difference to it.

        Returns:
            Standard deviation in BPB.
        """
        ...

    def objective_std_gradient(self, q: Array, task_weights: Array | None = None) -> tuple[float, Array]:
        """Differentiate the error of the objective.

        Args:
            q: [m] one mixture.
            task_weights: [T] weights.

        Returns:
            The standard deviation in BPB, and its slope [m].
        """
        ...

    def objective_noises(self, Q: Array, task_weights: Array | None = None) -> Array:
        """Estimate the scatter of runs around the objective.

        Args:
            Q: [n, m] mixtures of the runs.
            task_weights: [T] weights.

        Returns:
            [n] standard deviations of one run's measured objective, in BPB.
        """
        ...

    def to_json(self) -> JsonMapping:
        """Write the surrogate as JSON.

        Returns:
            Plain JSON values, from which `load` makes an equal surrogate.
        """
        ...
