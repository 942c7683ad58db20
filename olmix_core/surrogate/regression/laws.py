"""The two laws: how one task's bits per byte depend on the mixture.

Both are c + exp(b + phi(q) . v), with c >= 0 the part that no mixture removes::

    log_linear            phi(q) = q           v free     f = c + exp(A . q), A = b + v (arXiv 2602.12237)
    diminishing_returns   phi(q) = -q^gamma    v >= 0     f = c + exp(b - a . q^gamma), a = v

Under diminishing returns no leaf hurts by itself, it displaces others, and further shares of it help less. A mixture
sums to 1, so in the log-linear law a constant can move between b and v. The penalty is on v alone, which makes b the
mean of A and v the deviations from it; a constant is never penalised. Both laws are convex in q.

Shapes: n mixtures, m leaves, T tasks; f is in bits per byte (BPB).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from olmix_core.mixture import Array

LOG_LINEAR = "log_linear"
DIMINISHING_RETURNS = "diminishing_returns"
LAWS = (LOG_LINEAR, DIMINISHING_RETURNS)

_TINY = 1e-12  # keeps the slope of q^gamma finite at q = 0
_STEEPEST = 50.0  # larger exponents would overflow; no bits per byte comes near exp(50)


@dataclass(frozen=True)
class Law:
    """The form of one of the two laws.

    Attributes:
        family: `log_linear` or `diminishing_returns`.
        gamma: Power of diminishing returns in (0, 1]; None for the log-linear law.

    Raises:
        ValueError: The family is unknown, or gamma does not fit it.
    """

    family: str
    gamma: float | None = None

    def __post_init__(self) -> None:
        if self.family not in LAWS:
            raise ValueError(f"family {self.family!r} is none of {', '.join(LAWS)}")
        if self.family == LOG_LINEAR and self.gamma is not None:
            raise ValueError("the log-linear law has no gamma")
        if self.family == DIMINISHING_RETURNS and not (self.gamma and 0 < self.gamma <= 1):
            raise ValueError(f"gamma must lie in (0, 1], not {self.gamma}")

    @property
    def nonnegative(self) -> bool:
        """Whether the coefficients v are >= 0."""
        return self.gamma is not None

    def features(self, Q: Array) -> Array:
        """Compute the features phi(q).

        Args:
            Q: [n, m] mixtures; weights below 0 count as 0 under diminishing returns.

        Returns:
            [n, m].
        """
        if self.gamma is None:
            return Q
        return np.asarray(-(np.maximum(Q, 0.0) ** self.gamma), dtype=np.float64)

    def slopes(self, q: Array) -> Array:
        """Differentiate the features, d phi_j / d q_j.

        Args:
            q: [m] one mixture.

        Returns:
            [m]; at q_j = 0 the slope at a tiny weight.
        """
        if self.gamma is None:
            return np.ones_like(q)
        return np.asarray(-self.gamma * np.maximum(q, _TINY) ** (self.gamma - 1), dtype=np.float64)


@dataclass(frozen=True)
class Parameters:
    """Parameters of T tasks under one law.

    Attributes:
        c: [T].
        b: [T].
        v: [T, m].
        bounds: [T] smallest and largest prediction (see `bounds`); None for a law without them.
    """

    c: Array
    b: Array
    v: Array
    bounds: tuple[Array, Array] | None = None

    def decay(self, features: Array) -> Array:
        """Compute exp(b + phi . v), the part of each task that the mixture moves.

        Args:
            features: [n, m] phi(q).

        Returns:
            [n, T] BPB; as much as the bounds allow.
        """
        decay = np.exp(np.minimum(features @ self.v.T + self.b, _STEEPEST))
        return decay if self.bounds is None else np.clip(decay, self.bounds[0] - self.c, self.bounds[1] - self.c)

    def beyond(self, features: Array) -> NDArray[np.bool_]:
        """Find predictions that are at a bound because the law itself is beyond it.

        Args:
            features: [n, m] phi(q).

        Returns:
            [n, T].
        """
        free = replace(self, bounds=None).predict(features)
        if self.bounds is None:
            return np.zeros(free.shape, dtype=bool)
        return np.asarray((free < self.bounds[0]) | (free > self.bounds[1]))

    def doubt(self, features: Array) -> Array:
        """Estimate the error of predictions that a bound holds: half the distance of the bounds.

        Args:
            features: [n, m] phi(q).

        Returns:
            [n, T] BPB; 0 within the bounds.
        """
        half = 0.0 if self.bounds is None else (self.bounds[1] - self.bounds[0]) / 2
        return np.where(self.beyond(features), half, 0.0)

    def predict(self, features: Array) -> Array:
        """Compute c + exp(b + phi . v).

        Args:
            features: [n, m] phi(q).

        Returns:
            [n, T] BPB.
        """
        return self.c + self.decay(features)
