"""What every family of surrogates can do, so that all that follows a fit need not know which one it is.

`fitted.Surrogate` (the two laws: convex, errors from curvature) and `comparisons.Jackknifed` (everything else: errors
from refits) both are a `Model`. Shapes: n mixtures, m leaves, T tasks; BPB throughout.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from olmix_core.mixture import Array


class Surrogate(Protocol):
    """A fitted surrogate of T tasks over m leaves. Task weights are normalised; None means equal."""

    @property
    def family(self) -> str: ...

    @property
    def gamma(self) -> float | None:
        """The power of diminishing returns; None for every other family."""
        ...

    @property
    def leaves(self) -> tuple[str, ...]: ...

    @property
    def tasks(self) -> tuple[str, ...]: ...

    @property
    def flags(self) -> Mapping[str, str]:
        """Tasks whose prediction needs caution, and why."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on the whole fit."""
        ...

    @property
    def is_convex(self) -> bool:
        """Whether every task is convex in the mixture, so that a proposal can be proved best."""
        ...

    def predict(self, Q: Array) -> Array:
        """BPB [n, T] of mixtures Q [n, m]."""
        ...

    def gradient(self, q: Array) -> Array:
        """d f_t / d q_j [T, m] at one mixture q [m]."""
        ...

    def std(self, Q: Array) -> Array:
        """Standard deviation [n, T] of each task's prediction, without a new run's noise."""
        ...

    def noise(self) -> Array:
        """Standard deviation [T] of one run's measured BPB around the prediction."""
        ...

    def objective(self, Q: Array, task_weights: Array | None = None) -> Array:
        """Weighted mean BPB [n]."""
        ...

    def objective_stds(self, Q: Array, task_weights: Array | None = None) -> Array:
        """Standard deviation [n] of the objective."""
        ...

    def objective_std(self, q: Array, task_weights: Array | None = None, reference: Array | None = None) -> float:
        """Standard deviation of the objective at q [m], or of its difference to `reference` [m]."""
        ...

    def objective_std_gradient(self, q: Array, task_weights: Array | None = None) -> tuple[float, Array]:
        """The same without reference, and its slope [m]."""
        ...

    def objective_noise(self, task_weights: Array | None = None) -> float:
        """Standard deviation of one run's measured objective around the prediction."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values that `surrogate.read_surrogate` turns into an equal model."""
        ...
