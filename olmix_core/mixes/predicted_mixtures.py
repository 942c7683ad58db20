"""Predictions of the mixtures that a record names: objectives, gains of the proposed mixture, and BPB by task."""

from collections.abc import Mapping
from dataclasses import dataclass

from olmix_core.mixture import Array
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.intervals import Interval, interval


@dataclass(frozen=True)
class PredictedMixtures:
    """Predictions of a law for some mixtures.

    Attributes:
        predicted: {mixture: BPB of the objective}.
        gain: {over_<mixture>: gain of the proposed mixture}, in BPB.
        by_task: {mixture: [T] BPB of each task}.
    """

    predicted: dict[str, Interval]
    gain: dict[str, Interval]
    by_task: dict[str, Array]


def predict_mixtures(surrogate: Surrogate, mixtures: Mapping[str, Array], task_weights: Array) -> PredictedMixtures:
    """Predict the mixtures that a record names.

    Args:
        surrogate: The law, of T tasks over m columns.
        mixtures: {natural, proposed, ...: [m]}.
        task_weights: [T] weights of the tasks in the objective.

    Returns:
        Objectives, gains of the proposed mixture over all others, and BPB by task.
    """
    proposed = mixtures["proposed"]
    return PredictedMixtures(
        predicted={name: interval(surrogate, q, task_weights) for name, q in mixtures.items()},
        gain={
            f"over_{name}": interval(surrogate, proposed, task_weights, q)
            for name, q in mixtures.items()
            if name != "proposed"
        },
        by_task={name: surrogate.predict(q[None])[0] for name, q in mixtures.items()},
    )
