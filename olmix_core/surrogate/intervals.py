"""90 % intervals in BPB: of a predicted value, and of a gain between two mixtures with its verdict.

An interval covers what a proxy would measure. It contains the error of the surrogate and, once per proxy, the scatter
of runs around it. Part of that scatter is misfit of the law; without it intervals at a proposal would be far too
narrow (`make bench-gain`).

The chain of a gain, from the fit to the terminal:

1. `objective_std` of the difference of two predictions. For a law, `LawSurrogate.objective_stds`: the root of the sum
   of squares of `SandwichCovariance.objective_std` (`regression.uncertainty`, leave-one-out errors) and, where a bound
   holds a prediction, of half the distance of its bounds. For a regressor, the scatter of its refits (`jackknife`).
2. `objective_noises`, the scatter of runs around the surrogate, at each of the two mixtures (`regression.local_noise`).
3. `measured_std` and `interval` here: gain +- 1.645 times the root of the sum of their squares. `Interval.verdict`:
   "the same mixture" where the gain is below 1e-6 BPB either way, "real" where the whole interval is above 0, "a loss"
   where it is below, else "within the noise: not to be relied on".
4. `mixes.record_builder` writes {bpb, low, high}; `flows.cli.mix_view` prints them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from olmix_core.mixture import Array
from olmix_core.surrogate.base import Surrogate

NORMAL_90 = 1.6448536269514722  # half width of a 90 % interval in standard deviations
REAL = "real"
UNDECIDED = "within the noise: not to be relied on"

_SAME = 1e-6  # BPB; solvers agree no better


@dataclass(frozen=True)
class Interval:
    """A value in BPB with its 90 % interval.

    Attributes:
        bpb: The value; a gain is positive where it is an improvement.
        low: Lower end.
        high: Upper end.
    """

    bpb: float
    low: float
    high: float

    @classmethod
    def around(cls, value: float, std: float) -> Self:
        """Make the interval of a normal distribution.

        Args:
            value: Mean in BPB.
            std: Standard deviation in BPB.

        Returns:
            The interval.
        """
        spread = NORMAL_90 * std
        return cls(float(value), float(value - spread), float(value + spread))

    @classmethod
    def from_json(cls, data: Mapping[str, float]) -> Self:
        """Read what `to_json` wrote.

        Args:
            data: {bpb, low, high}.

        Returns:
            The interval.
        """
        return cls(data["bpb"], data["low"], data["high"])

    def to_json(self) -> dict[str, float]:
        """Write the interval as JSON.

        Returns:
            {bpb, low, high}.
        """
        return {"bpb": self.bpb, "low": self.low, "high": self.high}

    @property
    def verdict(self) -> str:
        """Classification of a gain: `REAL` where the interval lies above 0."""
        if abs(self.bpb) < _SAME:
            return "the same mixture"
        if self.low > 0:
            return REAL
        return "a loss" if self.high < 0 else UNDECIDED

    @property
    def caution(self) -> str:
        """Suffix for a printed gain: empty where the gain is `REAL`, else the verdict."""
        return "" if self.verdict == REAL else f"; {self.verdict}"


def interval(surrogate: Surrogate, q: Array, task_weights: Array | None, reference: Array | None = None) -> Interval:
    """Predict the objective of a mixture, or its gain over another one.

    Args:
        surrogate: The fit.
        q: [m] the mixture.
        task_weights: [T] weights of the objective; None means equal.
        reference: [m] the mixture to compare with; None for the objective itself.

    Returns:
        The objective at q, or the objective at `reference` less that at q.
    """
    value = surrogate.objective(q[None], task_weights)[0]
    if reference is not None:
        value = surrogate.objective(reference[None], task_weights)[0] - value
    return Interval.around(value, measured_std(surrogate, q, task_weights, reference))


def measured_std(surrogate: Surrogate, q: Array, task_weights: Array | None, reference: Array | None = None) -> float:
    """Estimate the error of a predicted objective, or of a difference of two, against what proxies would measure.

    Args:
        surrogate: The fit.
        q: [m] the mixture.
        task_weights: [T] weights of the objective; None means equal.
        reference: [m] the mixture of a second proxy; None for one proxy.

    Returns:
        Standard deviation in BPB; 0 where `reference` is q, since the same mixture is the same proxy.
    """
    if reference is not None and np.array_equal(q, reference):
        return 0.0
    proxies = q[None] if reference is None else np.array([q, reference])
    law = surrogate.objective_std(q, task_weights, reference)
    return math.hypot(law, *surrogate.objective_noises(proxies, task_weights))


def measured_stds(
    surrogate: Surrogate, Q: Array, task_weights: Array | None = None, reference: Array | None = None
) -> Array:
    """Estimate the same errors at several mixtures.

    Args:
        surrogate: The fit.
        Q: [n, m] mixtures.
        task_weights: [T] weights of the objective; None means equal.
        reference: [m] the mixture of a second proxy, which is another one than that of every row; None for one proxy.

    Returns:
        [n] standard deviations in BPB.
    """
    law = surrogate.objective_stds(Q, task_weights, reference)
    std = np.hypot(law, surrogate.objective_noises(Q, task_weights))
    return std if reference is None else np.hypot(std, surrogate.objective_noises(reference[None], task_weights))


def measured_task_stds(surrogate: Surrogate, Q: Array) -> Array:
    """Estimate the error of each task's prediction against what a proxy would measure.

    Args:
        surrogate: The fit.
        Q: [n, m] mixtures.

    Returns:
        [n, T] standard deviations in BPB.
    """
    return np.asarray(np.hypot(surrogate.std(Q), surrogate.noise(Q)))
