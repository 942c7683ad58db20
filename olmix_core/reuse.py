"""Mixture reuse: what is kept of the last mix when the domain set changes, as a choice of the expansion E (paper,
section 5).

Unaffected leaves that are kept are one column of E, their old weights renormalised; every affected or released leaf is
a column of its own (leaves with pinned shares are one together). Full recomputation keeps nothing: E is the identity.
So q = E r holds the old ratios exactly, however often the set was changed before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from olmix_core.swarm import default_runs

Column = dict[str, float]


@dataclass(frozen=True)
class ReusePlan:
    """The columns of E, {leaf: share} each; `kept` are the leaves in the column of old ratios; `runs` is K."""

    columns: tuple[Column, ...]
    kept: tuple[str, ...]
    runs: int

    def to_json(self) -> dict[str, Any]:
        return {"columns": list(self.columns), "kept": list(self.kept), "runs": self.runs}


def plan_columns(
    units: Sequence[Column], old_weights: Mapping[str, float], recomputed: frozenset[str], runs: int | None
) -> ReusePlan:
    """Keep the old ratios of all leaves but the `recomputed` ones.

    units: the free dimensions if nothing were kept. old_weights: {leaf: weight} of the last mix, for all leaves that
    may be kept. A unit with a recomputed leaf in it is recomputed whole, since its shares are pinned. Nothing to
    choose (one column) means no runs.
    """
    keeps = [not recomputed & unit.keys() and _holds(unit, old_weights) for unit in units]
    free = [unit for unit, keep in zip(units, keeps, strict=True) if not keep]
    kept = [leaf for unit, keep in zip(units, keeps, strict=True) if keep for leaf in unit]
    total = sum(old_weights[leaf] for leaf in kept)
    columns = list(free)
    if total > 0:
        columns.insert(0, {leaf: old_weights[leaf] / total for leaf in kept})
    else:
        # What had no weight at all has no ratios to keep.
        kept, columns = [], list(units)
    needed = 0 if len(columns) == 1 else runs or default_runs(len(columns))
    return ReusePlan(tuple(columns), tuple(kept), needed)


def _holds(unit: Column, old_weights: Mapping[str, float]) -> bool:
    """Whether the old weights have the shares that are pinned now."""
    total = sum(old_weights[leaf] for leaf in unit)
    return all(abs(old_weights[leaf] - share * total) <= 1e-6 * total for leaf, share in unit.items())


def released_for_caps(columns: Sequence[Column], caps: Mapping[str, float]) -> tuple[list[Column], list[str]]:
    """Loosen frozen shares until some mixture E r obeys every leaf's cap.

    A column of several leaves can have at most the weight at which its first leaf reaches its cap. Where all columns
    together stay below 1, that leaf is taken out of its column and made free, and so on; the ratios among the others
    stay. Returns the columns and the leaves taken out (none, where the caps can be met as it is).
    """
    columns = [dict(column) for column in columns]
    taken: list[str] = []
    while True:
        highest = [min(caps[leaf] / share for leaf, share in column.items() if share > 0) for column in columns]
        if sum(highest) >= 1:
            return columns, taken
        several = [index for index, column in enumerate(columns) if sum(s > 0 for s in column.values()) > 1]
        if not several:
            return columns, taken  # the caps themselves leave too little: said by who asks for a proposal
        index = min(several, key=lambda i: highest[i])
        column = columns[index]
        first = min(
            (leaf for leaf, share in column.items() if share > 0), key=lambda leaf: (caps[leaf] / column[leaf], leaf)
        )
        del column[first]
        total = sum(column.values())
        columns[index] = {leaf: share / total for leaf, share in column.items()}
        columns.append({first: 1.0})
        taken.append(first)
