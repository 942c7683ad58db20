"""The part of mix.json that is said at the size of the target run."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from olmix_core.mixes.predicted_mixtures import predict_mixtures
from olmix_core.mixes.record_parts import RecordPart
from olmix_core.mixture import Array
from olmix_core.surrogate.intervals import Interval, interval
from olmix_core.surrogate.scaling.advice import further_anchors
from olmix_core.surrogate.scaling.scale import Scale
from olmix_core.surrogate.scaling.target_surrogate import TargetSurrogate

_POINTS = 9  # sizes from that of the proxies to that of the target
_SHOWN = ("natural", "proposed")


class ScaleRecord(RecordPart):
    """Parameters without embeddings, and tokens."""

    parameters: float
    tokens: float

    @property
    def scale(self) -> Scale:
        """The scale."""
        return Scale(self.parameters, self.tokens)


class MeasuredSize(ScaleRecord):
    """A size that was measured, and how many runs there were of it."""

    runs: int


class TargetTask(RecordPart):
    """A task at the target. slope: BPB there per BPB at the size of the proxies. gain: of the proposed mixture."""

    name: str
    slope: float
    natural: float
    proposed: float
    gain: Interval


class TargetPoint(RecordPart):
    """Predicted objective of the natural and the proposed mixture at a size."""

    parameters: float
    tokens: float
    natural: Interval
    proposed: Interval


class TargetRecord(RecordPart):
    """Predictions at the size of the target run.

    size: of the target. proxies: size of the swarm's proxies. largest: the largest size measured. anchors: runs at
    other sizes than that of the proxies; measured: their sizes. gain: of the proposed mixture over others. over_size:
    from the size of the proxies to that of the target.
    """

    size: ScaleRecord
    proxies: ScaleRecord
    largest: ScaleRecord
    anchors: int
    measured: tuple[MeasuredSize, ...]
    predicted: dict[str, Interval]
    gain: dict[str, Interval]
    tasks: tuple[TargetTask, ...]
    over_size: tuple[TargetPoint, ...]

    @property
    def extrapolation(self) -> float:
        """FLOPs of the target over those of the largest run measured."""
        return self.size.scale.flops / self.largest.scale.flops

    @property
    def words(self) -> str:
        """The size, and how far it is beyond what was measured."""
        factor = self.extrapolation
        beyond = (
            f"extrapolated {factor:,.3g} times in FLOPs beyond the largest run measured"
            if factor > 1
            else "within the sizes measured"
        )
        return f"at {self.size.scale}, {beyond}"

    @property
    def basis(self) -> str:
        """What the slopes rest on."""
        if not self.anchors:
            return "no larger run was measured: only published exponents are known"
        return f"learnt from {self.anchors} larger run{'s' if self.anchors > 1 else ''}"


def target_record(
    surrogate: TargetSurrogate, mixtures: Mapping[str, Array], task_weights: Array, names: Sequence[str]
) -> TargetRecord:
    """Predict the mixtures of a record at the target.

    Args:
        surrogate: The law at the target, of T tasks over m columns.
        mixtures: {natural, proposed, ...: [m]}.
        task_weights: [T] weights of the tasks in the objective.
        names: [T] labels of the tasks.

    Returns:
        The record.
    """
    proposed, natural = mixtures["proposed"], mixtures["natural"]
    values = predict_mixtures(surrogate, mixtures, task_weights)
    tasks = [
        TargetTask(
            name=name,
            slope=float(surrogate.slopes[t]),
            natural=float(values.by_task["natural"][t]),
            proposed=float(values.by_task["proposed"][t]),
            gain=interval(surrogate, proposed, np.eye(len(names))[t], natural),
        )
        for t, name in enumerate(names)
    ]
    return TargetRecord(
        size=_record(surrogate.target),
        proxies=_record(surrogate.base.scale),
        largest=_record(surrogate.largest),
        anchors=len(surrogate.anchors.scales),
        measured=_measured(surrogate),
        predicted=values.predicted,
        gain=values.gain,
        tasks=tuple(sorted(tasks, key=lambda task: task.name)),
        over_size=tuple(_point(surrogate.at(scale), mixtures, task_weights) for scale in _path(surrogate)),
    )


def target_remarks(
    surrogate: TargetSurrogate, mixtures: Mapping[str, Array], task_weights: Array, names: Sequence[str]
) -> tuple[str, ...]:
    """Name tasks whose slope is negative, and larger runs that would decide a gain that is within the noise.

    Args:
        surrogate: The law at the target, of T tasks over m columns.
        mixtures: {natural, proposed, ...: [m]}.
        task_weights: [T] weights of the tasks in the objective.
        names: [T] labels of the tasks.

    Returns:
        The remarks.
    """
    reversed_tasks = tuple(
        f"task {name}: the larger runs say that differences between mixtures reverse at the target (slope {slope:.2f});"
        " the task hardly counts there"
        for name, slope in sorted(zip(names, surrogate.slopes, strict=True))
        if slope < 0
    )
    return (*reversed_tasks, *_further(surrogate, mixtures, task_weights))


def _further(surrogate: TargetSurrogate, mixtures: Mapping[str, Array], task_weights: Array) -> tuple[str, ...]:
    more = further_anchors(surrogate, mixtures["proposed"], mixtures["natural"], task_weights)
    if more is None:
        return ()
    return (
        f"the gain over natural at the target is within the noise; if it is as large as predicted, {more.runs} runs of"
        f" {more.scale}, half of them on the natural and half on the proposed mixture, would narrow it to +-"
        f"{more.half_width:.4f} BPB; they take {more.flops:.2g} FLOPs, {more.flops / surrogate.target.flops:.1%} of the"
        " target run",
    )


def _measured(surrogate: TargetSurrogate) -> tuple[MeasuredSize, ...]:
    counts = Counter(surrogate.anchors.scales)
    return tuple(
        MeasuredSize(parameters=scale.parameters, tokens=scale.tokens, runs=counts[scale])
        for scale in sorted(counts, key=lambda scale: (scale.flops, scale.parameters))
    )


def _path(surrogate: TargetSurrogate) -> list[Scale]:
    """Sizes from that of the proxies to that of the target, in equal steps of the logs."""
    low, high = surrogate.base.scale, surrogate.target
    sizes = np.geomspace(low.parameters, high.parameters, _POINTS)
    tokens = np.geomspace(low.tokens, high.tokens, _POINTS)
    return [Scale(float(size), float(trained)) for size, trained in zip(sizes, tokens, strict=True)]


def _point(surrogate: TargetSurrogate, mixtures: Mapping[str, Array], task_weights: Array) -> TargetPoint:
    natural, proposed = (interval(surrogate, mixtures[name], task_weights) for name in _SHOWN)
    scale = surrogate.target
    return TargetPoint(parameters=scale.parameters, tokens=scale.tokens, natural=natural, proposed=proposed)


def _record(scale: Scale) -> ScaleRecord:
    return ScaleRecord(parameters=scale.parameters, tokens=scale.tokens)
