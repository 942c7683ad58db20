"""Mixture reuse: what is kept of the last mix when the domain set changes, as a choice of the expansion E (paper,
section 5).

Unaffected leaves that are kept are one column of E, their old weights renormalised; every affected or released leaf is
a column of its own (leaves with pinned shares are one together). Full recomputation keeps nothing: E is the identity.
So q = E r holds the old ratios exactly, however often the set was changed before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from olmix_core.config.defaults import default_runs
from olmix_core.proposal.expansion import Column


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
