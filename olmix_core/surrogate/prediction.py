"""What a law says of one mixture: bits per byte per task, per family and on the whole, how sure, and broken caps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from olmix_core.mixture import Array
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.intervals import Interval, measured_std


@dataclass(frozen=True)
class BrokenCap:
    """A leaf whose weight is above its cap; epochs is NaN where its tokens are unknown."""

    domain: str
    weight: float
    cap: float
    epochs: float


@dataclass(frozen=True)
class Prediction:
    """The weighted mean BPB (`objective`), what it gains over the mixtures of the record (positive is better), BPB of
    every family and task, and the caps that the mixture breaks. `weights` is the mixture {label: weight}.
    """

    weights: Mapping[str, float]
    objective: Interval
    gain: Mapping[str, Interval]
    families: Mapping[str, Interval]
    tasks: Mapping[str, Interval]
    broken: Sequence[BrokenCap]

    def to_json(self) -> dict[str, Any]:
        return {
            "weights": dict(self.weights),
            "objective": self.objective.to_json(),
            "gain": {f"over_{name}": one.to_json() for name, one in self.gain.items()},
            "families": {name: one.to_json() for name, one in self.families.items()},
            "tasks": {name: one.to_json() for name, one in self.tasks.items()},
            "broken_caps": [
                {"domain": one.domain, "weight": one.weight, "cap": one.cap, "epochs": _known(one.epochs)}
                for one in self.broken
            ],
        }

    def to_frame(self) -> pd.DataFrame:
        """bpb, low and high: a row for the objective, each family and each task, indexed by (kind, name)."""
        rows = {
            ("objective", ""): self.objective,
            **{("family", name): one for name, one in self.families.items()},
            **{("task", name): one for name, one in self.tasks.items()},
        }
        index = pd.MultiIndex.from_tuples(list(rows), names=["kind", "name"])
        return pd.DataFrame([one.to_json() for one in rows.values()], index=index)


def predict(
    surrogate: Surrogate,
    columns: Array,
    leaves: Sequence[str],
    q: Array,
    *,
    task_weights: Array,
    families: Mapping[str, Sequence[str]],
    references: Mapping[str, Array],
    caps: Array,
    epochs: Array,
) -> Prediction:
    """The prediction at q [leaves].

    columns [law columns, leaves] writes leaves in columns of the law. task_weights [T] sum to 1. references
    {name: [leaves]}: mixtures to say the gain over. caps, epochs [leaves]: highest weights, and epochs per unit of
    weight. The mean of a family weighs its tasks as the objective does, or equally where they weigh nothing there.
    """
    at = columns @ q
    by_task, task_std = surrogate.predict(at[None])[0], np.hypot(surrogate.std(at[None])[0], surrogate.noise())
    position = {task: t for t, task in enumerate(surrogate.tasks)}
    of_families = {}
    for name, members in families.items():
        weights = family_weights([position[task] for task in members], task_weights)
        of_families[name] = Interval.around(by_task @ weights, measured_std(surrogate, at, weights))
    gain = {}
    for name, reference in references.items():
        there = columns @ reference
        difference = float(surrogate.objective(there[None], task_weights)[0] - by_task @ task_weights)
        gain[name] = Interval.around(difference, measured_std(surrogate, at, task_weights, there))
    return Prediction(
        weights=dict(zip(leaves, q.tolist(), strict=True)),
        objective=Interval.around(by_task @ task_weights, measured_std(surrogate, at, task_weights)),
        gain=gain,
        families=of_families,
        tasks={task: Interval.around(by_task[t], task_std[t]) for task, t in position.items()},
        # By more than rounding.
        broken=[
            BrokenCap(leaves[j], float(q[j]), float(caps[j]), float(epochs[j] * q[j]))
            for j in np.flatnonzero(q > caps * (1 + 1e-9) + 1e-12).tolist()
        ],
    )


def family_weights(members: Sequence[int], task_weights: Array) -> Array:
    """[T] weights of the tasks at `members` within their family; they sum to 1."""
    weights = np.zeros_like(task_weights)
    weights[list(members)] = task_weights[list(members)]
    if not weights.any():
        weights[list(members)] = 1.0
    shares: Array = weights / weights.sum()
    return shares


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
