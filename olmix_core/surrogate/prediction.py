"""What a surrogate predicts for one mixture: the objective, gains, families, tasks, and the caps that it exceeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import pandas as pd

from olmix_core.mixture import Array, LeafIndex
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.intervals import Interval, measured_std, measured_task_stds
from olmix_core.surrogate.task_weights import family_weights


@dataclass(frozen=True)
class BrokenCap:
    """A leaf whose weight is above its cap.

    Attributes:
        domain: Label of the leaf.
        weight: Its weight.
        cap: Its highest weight.
        epochs: Epochs over the leaf; NaN where its tokens are unknown.
    """

    domain: str
    weight: float
    cap: float
    epochs: float


class BrokenCapJSON(TypedDict):
    """JSON of a `BrokenCap`; epochs is null where it is unknown."""

    domain: str
    weight: float
    cap: float
    epochs: float | None


class PredictionJSON(TypedDict):
    """JSON of a `Prediction`: intervals as {bpb, low, high}."""

    weights: dict[str, float]
    objective: dict[str, float]
    gain: dict[str, dict[str, float]]
    families: dict[str, dict[str, float]]
    tasks: dict[str, dict[str, float]]
    broken_caps: list[BrokenCapJSON]


@dataclass(frozen=True)
class Prediction:
    """The prediction at one mixture.

    Attributes:
        weights: The mixture {label: weight}.
        objective: Weighted mean BPB.
        gain: {name: gain over that mixture of the record}; positive is better.
        families: {family: mean BPB of its tasks}.
        tasks: {task: BPB}.
        broken: Caps that the mixture exceeds.
    """

    weights: Mapping[str, float]
    objective: Interval
    gain: Mapping[str, Interval]
    families: Mapping[str, Interval]
    tasks: Mapping[str, Interval]
    broken: Sequence[BrokenCap]

    def to_json(self) -> PredictionJSON:
        """Write the prediction as JSON.

        Returns:
            Plain JSON values.
        """
        return {
            "weights": dict(self.weights),
            "objective": self.objective.to_json(),
            "gain": {f"over_{name}": gain.to_json() for name, gain in self.gain.items()},
            "families": {name: bpb.to_json() for name, bpb in self.families.items()},
            "tasks": {name: bpb.to_json() for name, bpb in self.tasks.items()},
            "broken_caps": [
                {
                    "domain": broken.domain,
                    "weight": broken.weight,
                    "cap": broken.cap,
                    "epochs": None if np.isnan(broken.epochs) else broken.epochs,
                }
                for broken in self.broken
            ],
        }

    def to_frame(self) -> pd.DataFrame:
        """Arrange the intervals as a table.

        Returns:
            Columns bpb, low and high; a row for the objective, each family and each task, indexed by (kind, name).
        """
        rows = {
            ("objective", ""): self.objective,
            **{("family", name): bpb for name, bpb in self.families.items()},
            **{("task", name): bpb for name, bpb in self.tasks.items()},
        }
        index = pd.MultiIndex.from_tuples(list(rows), names=["kind", "name"])
        return pd.DataFrame([bpb.to_json() for bpb in rows.values()], index=index)


@dataclass(frozen=True)
class PredictionContext:
    """What a prediction is made with: leaves in terms of the surrogate's columns, tasks, references and limits.

    Attributes:
        leaves: [m] labels of the leaves.
        columns: [surrogate columns, m] leaves in terms of the surrogate's columns.
        task_weights: [T] weights of the objective, which sum to 1.
        families: {family: its tasks}.
        references: {name: mixture [m]} to state gains over.
        caps: [m] highest weights.
        epochs: [m] epochs per unit of weight.
    """

    leaves: Sequence[str]
    columns: Array
    task_weights: Array
    families: Mapping[str, Sequence[str]]
    references: Mapping[str, Array]
    caps: Array
    epochs: Array


def predict(surrogate: Surrogate, q: Array, context: PredictionContext) -> Prediction:
    """Predict one mixture. The mean of a family weighs its tasks as the objective does.

    Args:
        surrogate: The fit.
        q: [m] the mixture over the leaves of the context.
        context: Leaves, tasks, references and limits.

    Returns:
        The prediction with its intervals.
    """
    at, task_weights = context.columns @ q, context.task_weights
    by_task, task_std = surrogate.predict(at[None])[0], measured_task_stds(surrogate, at[None])[0]
    position = {task: t for t, task in enumerate(surrogate.tasks)}
    families = {}
    for name, members in context.families.items():
        weights = family_weights([position[task] for task in members], task_weights)
        families[name] = Interval.around(by_task @ weights, measured_std(surrogate, at, weights))
    gain = {}
    for name, reference in context.references.items():
        there = context.columns @ reference
        difference = float(surrogate.objective(there[None], task_weights)[0] - by_task @ task_weights)
        gain[name] = Interval.around(difference, measured_std(surrogate, at, task_weights, there))
    return Prediction(
        weights=LeafIndex(tuple(context.leaves)).mapping(q),
        objective=Interval.around(by_task @ task_weights, measured_std(surrogate, at, task_weights)),
        gain=gain,
        families=families,
        tasks={task: Interval.around(by_task[t], task_std[t]) for task, t in position.items()},
        # Exceeded by more than rounding.
        broken=[
            BrokenCap(context.leaves[j], float(q[j]), float(context.caps[j]), float(context.epochs[j] * q[j]))
            for j in np.flatnonzero(q > context.caps * (1 + 1e-9) + 1e-12).tolist()
        ],
    )
