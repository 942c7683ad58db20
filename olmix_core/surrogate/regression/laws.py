"""The two laws: how one task's bits per byte depend on the mixture.

Both are c + exp(b + phi(q) . v), with c >= 0 the part that no mixture removes:

    log_linear            phi(q) = q           v free     Olmix (arXiv 2602.12237): f = c + exp(A .
    q), A = b + v diminishing_returns   phi(q) = -q^gamma    v >= 0     f = c + exp(b - a .
    q^gamma), a = v: no leaf hurts by
                                                          itself, it displaces others, and its
                                                          further shares help less

A mixture sums to 1, so in the log-linear law b and the mean of v say the same thing; a penalty on v
alone decides, and then b is the mean of A and v the deviations from it: a constant is never
penalised. Both laws are convex in q. Shapes: n mixtures, m leaves, T tasks; f is in bits per byte.
"""

from dataclasses import dataclass

import numpy as np

from olmix_core.mixture import Array

LOG_LINEAR = "log_linear"
DIMINISHING_RETURNS = "diminishing_returns"
LAWS = (LOG_LINEAR, DIMINISHING_RETURNS)

_TINY = 1e-12  # keeps the slope of q^gamma finite at q = 0
_STEEPEST = 50.0  # exponents above this would overflow; no bits per byte comes near exp(50)


@dataclass(frozen=True)
class Law:
    """One of the two laws: its features phi(q) [n, m] and whether their coefficients are >= 0.

    `gamma` is the power of diminishing_returns in (0, 1]; the log-linear law has none.
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
        return self.family == DIMINISHING_RETURNS

    def features(self, Q: Array) -> Array:
        """phi(q) [n, m] of mixtures Q [n, m]. Weights below zero count as zero."""
        if self.gamma is None:
            return Q
        return np.asarray(-(np.maximum(Q, 0.0) ** self.gamma), dtype=np.float64)

    def slopes(self, q: Array) -> Array:
        """d phi_j / d q_j [m] at one mixture q [m]; at q_j = 0 that just beside it."""
        if self.gamma is None:
            return np.ones_like(q)
        return np.asarray(-self.gamma * np.maximum(q, _TINY) ** (self.gamma - 1), dtype=np.float64)


@dataclass(frozen=True)
class Parameters:
    """Parameters of T tasks under one law: c [T] and b [T], v [T, m]."""

    c: Array
    b: Array
    v: Array

    def decay(self, features: Array) -> Array:
        """exp(b + phi . v) [n, T], the part of each task that the mixture moves."""
        return np.exp(np.minimum(features @ self.v.T + self.b, _STEEPEST))

    def predict(self, features: Array) -> Array:
        """c + exp(b + phi . v) [n, T]."""
        return self.c + self.decay(features)
