"""90 % intervals in BPB: for a predicted value, for a gain between two mixtures, and their verdict."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from olmix_core.mixture import Array
from olmix_core.surrogate.base import Surrogate

NORMAL_90 = 1.6448536269514722  # half width of a 90 % interval in standard deviations


def measured_std(model: Surrogate, q: Array, task_weights: Array | None, reference: Array | None = None) -> float:
    """Standard deviation of the objective that a proxy trained on q [m] would measure, or of its difference to that of
    one trained on `reference` [m].

    The error of the law and the scatter of runs around it, once for each proxy. Part of that scatter is what the form
    of the law gets wrong, so that without it intervals at a proposal would be far too narrow (`make bench-gain`).
    """
    if reference is not None and np.array_equal(q, reference):
        return 0.0  # the same mixture is the same proxy
    proxies = 1 if reference is None else 2
    return math.hypot(
        model.objective_std(q, task_weights, reference), math.sqrt(proxies) * model.objective_noise(task_weights)
    )


def interval(
    model: Surrogate, q: Array, task_weights: Array | None, reference: Array | None = None
) -> dict[str, float]:
    """Objective at q [m], or what q gains over `reference` [m] (positive is better), with its 90 % interval, in BPB."""
    value = model.objective(q[None], task_weights)[0]
    if reference is not None:
        value = model.objective(reference[None], task_weights)[0] - value
    spread = NORMAL_90 * measured_std(model, q, task_weights, reference)
    return {"bpb": float(value), "low": float(value - spread), "high": float(value + spread)}


@dataclass(frozen=True)
class Interval:
    """A value in BPB with its 90 % interval."""

    bpb: float
    low: float
    high: float

    @classmethod
    def around(cls, value: float, std: float) -> "Interval":
        return cls(float(value), float(value - NORMAL_90 * std), float(value + NORMAL_90 * std))

    def to_json(self) -> dict[str, float]:
        return {"bpb": self.bpb, "low": self.low, "high": self.high}


REAL = "real"


_SAME = 1e-6  # BPB; solvers agree no better


def verdict(gain: Mapping[str, float]) -> str:
    """Of a gain {bpb, low, high} in BPB: REAL where its interval lies above 0."""
    if abs(gain["bpb"]) < _SAME:
        return "the same mixture"
    if gain["low"] > 0:
        return REAL
    return "a loss" if gain["high"] < 0 else "within the noise: not to be relied on"


def caution(gain: Mapping[str, float]) -> str:
    """What to put behind a gain: nothing where it is REAL, else the verdict."""
    words = verdict(gain)
    return "" if words == REAL else f"; {words}"
