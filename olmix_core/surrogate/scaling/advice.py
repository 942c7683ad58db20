"""Which larger runs would narrow the interval of a gain at the target, and what they cost.

The interval is that which the law at the target would have if these runs had measured what it predicts for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from olmix_core.mixture import Array
from olmix_core.surrogate.intervals import NORMAL_90, UNDECIDED, interval, measured_std
from olmix_core.surrogate.scaling.anchors import Anchors
from olmix_core.surrogate.scaling.scale import Scale
from olmix_core.surrogate.scaling.target_surrogate import TargetSurrogate

_STEPS = (10.0, 100.0, 1000.0)  # times the FLOPs of the largest run measured
_COPIES = (1, 2, 4)  # runs of each of the two mixtures


@dataclass(frozen=True)
class FurtherAnchors:
    """Larger runs, half of them of each of two mixtures.

    Attributes:
        runs: Number of runs.
        scale: Their scale.
        half_width: Half the width of the 90 % interval of the gain with them, in BPB.
    """

    runs: int
    scale: Scale
    half_width: float

    @property
    def flops(self) -> float:
        """Floating-point operations of all of them."""
        return self.runs * self.scale.flops


def further_anchors(
    surrogate: TargetSurrogate, q: Array, reference: Array, task_weights: Array | None
) -> FurtherAnchors | None:
    """Find the cheapest further anchors that would decide whether a gain is real, if it is as large as predicted.

    Args:
        surrogate: The law at the target.
        q: [m] the mixture.
        reference: [m] the mixture that it is compared with.
        task_weights: [T] weights of the objective; None means equal.

    Returns:
        The anchors; None where the gain is not within the noise, or none up to the size of the target decide.
    """
    gain = interval(surrogate, q, task_weights, reference)
    if gain.verdict != UNDECIDED or not gain.bpb > 0:
        return None
    options = []
    for scale in _scales(surrogate):
        for copies in _COPIES:
            more = _with(surrogate, [q, reference] * copies, scale)
            half = NORMAL_90 * measured_std(more, q, task_weights, reference)
            if half < gain.bpb:
                options.append(FurtherAnchors(2 * copies, scale, half))
    return min(options, key=lambda option: option.flops) if options else None


def _scales(surrogate: TargetSurrogate) -> list[Scale]:
    """Sizes between the largest measured and the target, on the line between them."""
    start, end = surrogate.largest, surrogate.target
    distance = end.distance(start)
    shares = [np.log(step) / distance for step in _STEPS if 0 < np.log(step) < distance]
    return [
        Scale(
            float(start.parameters * (end.parameters / start.parameters) ** share),
            float(start.tokens * (end.tokens / start.tokens) ** share),
        )
        for share in shares
    ]


def _with(surrogate: TargetSurrogate, mixtures: Sequence[Array], scale: Scale) -> TargetSurrogate:
    """The surrogate with further anchors that measured what it predicts."""
    anchors, X = surrogate.anchors, np.array(mixtures)
    more = Anchors(
        np.vstack([anchors.X, X]),
        np.vstack([anchors.Y, surrogate.at(scale).predict(X)]),
        (*anchors.scales, *[scale] * len(X)),
    )
    return replace(surrogate, anchors=more)
