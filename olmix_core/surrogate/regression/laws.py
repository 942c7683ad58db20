"""The two laws: how one task's bits per byte depend on the mixture.

Both are c + exp(b + phi(q) . v), with c >= 0 the part that no mixture removes::

    log_linear            phi(q) = q           v free     f = c + exp(A . q), A = b + v (arXiv 2602.12237)
    diminishing_returns   phi(q) = -q^gamma    v >= 0     f = c + exp(b - a . q^gamma), a = v

Under diminishing returns no leaf hurts by itself, it displaces others, and further shares of it help less. A mixture
sums to 1, so in the log-linear law a constant can move between b and v. The penalty is on v alone, which makes b the
mean of A and v the deviations from it; a constant is never penalised. Both laws are convex in q. All tasks have one
gamma, or each has its own.

Shapes: n mixtures, m leaves, T tasks; f is in bits per byte (BPB).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

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
        gamma: Power of diminishing returns in (0, 1], or that of each task [T]; None for the log-linear law.

    Raises:
        ValueError: The family is unknown, or gamma does not fit it.
    """

    family: str
    gamma: float | tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.family not in LAWS:
            raise ValueError(f"family {self.family!r} is none of {', '.join(LAWS)}")
        if self.family == LOG_LINEAR and self.gamma is not None:
            raise ValueError("the log-linear law has no gamma")
        powers = self.gamma if isinstance(self.gamma, tuple) else (self.gamma,)
        if self.family == DIMINISHING_RETURNS and not all(power and 0 < power <= 1 for power in powers):
            raise ValueError(f"gamma must lie in (0, 1], not {self.gamma}")

    @classmethod
    def of_powers(cls, powers: Sequence[float]) -> Self:
        """Make diminishing returns with a power for each task.

        Args:
            powers: [T] gamma of each task.

        Returns:
            The law, with one gamma where all tasks have the same.
        """
        distinct = set(powers)
        return cls(DIMINISHING_RETURNS, distinct.pop() if len(distinct) == 1 else tuple(powers))

    @property
    def common_gamma(self) -> float | None:
        """The power that all tasks have; None where they differ, and for the log-linear law."""
        return None if isinstance(self.gamma, tuple) else self.gamma

    @property
    def with_median_gamma(self) -> "Law":
        """The same form with one gamma for all tasks, the median of theirs."""
        return replace(self, gamma=sorted(self.gamma)[len(self.gamma) // 2]) if isinstance(self.gamma, tuple) else self

    def powers(self, tasks: int) -> tuple[float, ...]:
        """List the power of each task; 1 for the log-linear law.

        Args:
            tasks: Number of tasks T.

        Returns:
            [T].
        """
        return self.gamma if isinstance(self.gamma, tuple) else (self.gamma or 1.0,) * tasks

    def of_tasks(self, tasks: Sequence[int]) -> "Law":
        """Select tasks.

        Args:
            tasks: Their positions, in the order wanted.

        Returns:
            The form of their law.
        """
        return replace(self, gamma=tuple(self.gamma[t] for t in tasks)) if isinstance(self.gamma, tuple) else self

    @property
    def nonnegative(self) -> bool:
        """Whether the coefficients v are >= 0."""
        return self.gamma is not None

    def features(self, Q: Array) -> Array:
        """Compute the features phi(q).

        Args:
            Q: [n, m] mixtures; weights below 0 count as 0 under diminishing returns.

        Returns:
            [n, m]; [T, n, m] where tasks differ in gamma.
        """
        if self.gamma is None:
            return Q
        if isinstance(self.gamma, tuple):
            by_power = {power: -(np.maximum(Q, 0.0) ** power) for power in set(self.gamma)}
            return np.stack([by_power[power] for power in self.gamma])
        return np.asarray(-(np.maximum(Q, 0.0) ** self.gamma), dtype=np.float64)

    def slopes(self, q: Array) -> Array:
        """Differentiate the features, d phi_j / d q_j.

        Args:
            q: [m] one mixture.

        Returns:
            [m], or [T, m] where tasks differ in gamma; at q_j = 0 the slope at a tiny weight.
        """
        if self.gamma is None:
            return np.ones_like(q)
        gamma = np.array(self.gamma)[:, None] if isinstance(self.gamma, tuple) else self.gamma
        return np.asarray(-gamma * np.maximum(q, _TINY) ** (gamma - 1), dtype=np.float64)


def exponents(features: Array, v: Array) -> Array:
    """Compute phi . v of every task.

    Args:
        features: [n, m], or [T, n, m] where tasks differ in them.
        v: [T, m].

    Returns:
        [n, T].
    """
    if features.ndim == 2:
        return np.asarray(features @ v.T)
    return np.asarray((features @ v[:, :, None])[:, :, 0].T)


def with_levels(features: Array, levels: Array) -> Array:
    """Put the levels of other swarms beside the features of a law.

    Args:
        features: [n, m], or [T, n, m] where tasks differ in them.
        levels: [n, S].

    Returns:
        [n, m + S] or [T, n, m + S].
    """
    return np.concatenate([features, np.broadcast_to(levels, (*features.shape[:-1], levels.shape[1]))], axis=-1)


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
            features: phi(q), [n, m] or [T, n, m].

        Returns:
            [n, T] BPB; as much as the bounds allow.
        """
        decay = np.exp(np.minimum(exponents(features, self.v) + self.b, _STEEPEST))
        return decay if self.bounds is None else np.clip(decay, self.bounds[0] - self.c, self.bounds[1] - self.c)

    def beyond(self, features: Array) -> NDArray[np.bool_]:
        """Find predictions that are at a bound because the law itself is beyond it.

        Args:
            features: phi(q), [n, m] or [T, n, m].

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
            features: phi(q), [n, m] or [T, n, m].

        Returns:
            [n, T] BPB; 0 within the bounds.
        """
        half = 0.0 if self.bounds is None else (self.bounds[1] - self.bounds[0]) / 2
        return np.where(self.beyond(features), half, 0.0)

    def predict(self, features: Array) -> Array:
        """Compute c + exp(b + phi . v).

        Args:
            features: phi(q), [n, m] or [T, n, m].

        Returns:
            [n, T] BPB.
        """
        return self.c + self.decay(features)
