"""A request for a mixture over today's leaves.

The surrogate's columns are atoms: today's leaves and, where evidence was carried over, the older contents that they are
made of (`olmix_core.evidence.atoms`). Caps, bounds and the KL reference are always on leaves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NotRequired, Self, TypedDict, cast

import numpy as np

from olmix_core.evidence.atoms import Split, atom_matrix
from olmix_core.mixture import Array, LeafIndex, caps
from olmix_core.proposal.constraints import Groups
from olmix_core.proposal.expansion import Column, released_for_caps
from olmix_core.serialization import JsonMapping
from olmix_core.surrogate.base import Surrogate


@dataclass(frozen=True)
class Bound:
    """Bounds of the summed weight of some leaves.

    Attributes:
        leaves: The leaves.
        low: Lowest sum.
        high: Highest sum.
    """

    leaves: tuple[str, ...]
    low: float
    high: float


class ProposalRequestJSON(TypedDict):
    """JSON of a `ProposalRequest`: part of the payload of the step `propose`, and so of its cache key."""

    columns: list[Column]
    reusable: NotRequired[list[Column]]
    splits: dict[str, dict[str, float]]
    natural: dict[str, float]
    tokens: dict[str, int]
    kl: float
    target_tokens: float | None
    repetition: float
    pessimism: float
    sequence_length: int
    bounds: list[tuple[list[str], float, float]]
    reference: dict[str, float] | None
    task_weights: dict[str, float]


@dataclass(frozen=True)
class ProposalRequest:
    """A request for a mixture, in terms of leaves (content fingerprints, or labels where the surrogate has labels).

    Attributes:
        columns: The columns of the expansion, {leaf: share} each.
        splits: {leaf: {finer leaf: share}} of leaves that the surrogate knows by their parts.
        natural: {leaf: natural share} of every leaf.
        tokens: {leaf: tokens available}.
        target_tokens: Tokens R of the run; None for all that are available.
        repetition: Epochs k of any leaf in that run, at most.
        kl: Strength of the pull towards the reference.
        task_weights: {task: weight} in the objective.
        bounds: Bounds on leaves and groups of leaves.
        reference: {leaf: share} of the KL term; None for the natural mixture.
        pessimism: Standard deviations of the predicted mean that are added to it.
        sequence_length: Tokens per sequence of the run.
        reusable: Columns that keep old ratios, for a second proposal to compare with; empty where there is none.
        leaf_caps: {leaf: highest weight} in place of k N / R; not part of the JSON.
    """

    columns: Sequence[Column]
    splits: Split
    natural: Mapping[str, float]
    tokens: Mapping[str, int]
    target_tokens: float | None
    repetition: float
    kl: float
    task_weights: Mapping[str, float]
    bounds: Sequence[Bound] = ()
    reference: Mapping[str, float] | None = None
    pessimism: float = 0.0
    sequence_length: int = 1
    reusable: Sequence[Column] = ()
    leaf_caps: Mapping[str, float] | None = None

    @classmethod
    def from_json(cls, data: JsonMapping) -> Self:
        """Read what `to_json` wrote.

        Args:
            data: A `ProposalRequestJSON`; further keys are ignored.

        Returns:
            The request.
        """
        fields = cast(ProposalRequestJSON, data)
        return cls(
            columns=fields["columns"],
            splits=fields["splits"],
            natural=fields["natural"],
            tokens=fields["tokens"],
            target_tokens=fields["target_tokens"],
            repetition=fields["repetition"],
            kl=fields["kl"],
            task_weights=fields["task_weights"],
            bounds=tuple(Bound(tuple(leaves), low, high) for leaves, low, high in fields["bounds"]),
            reference=fields["reference"],
            pessimism=fields["pessimism"],
            sequence_length=fields["sequence_length"],
            reusable=fields.get("reusable", ()),
        )

    def to_json(self) -> ProposalRequestJSON:
        """Write the request as JSON. Its canonical form is part of cache keys.

        Returns:
            Plain JSON values; `reusable` only where there are such columns.
        """
        data: ProposalRequestJSON = {
            "columns": [dict(column) for column in self.columns],
            "splits": {leaf: dict(parts) for leaf, parts in self.splits.items()},
            "natural": dict(self.natural),
            "tokens": dict(self.tokens),
            "kl": self.kl,
            "target_tokens": self.target_tokens,
            "repetition": self.repetition,
            "pessimism": self.pessimism,
            "sequence_length": self.sequence_length,
            "bounds": [(list(bound.leaves), bound.low, bound.high) for bound in self.bounds],
            "reference": None if self.reference is None else dict(self.reference),
            "task_weights": dict(self.task_weights),
        }
        if self.reusable:
            data["reusable"] = [dict(column) for column in self.reusable]
        return data

    @cached_property
    def leaves(self) -> LeafIndex:
        """The leaves in alphabetical order."""
        return LeafIndex.sorted(self.natural)

    @property
    def run_tokens(self) -> float:
        """Tokens R of the run: the target, or all that are available."""
        return self.target_tokens or float(sum(self.tokens.values()))

    @property
    def caps(self) -> Array:
        """[m] the highest weight of each leaf."""
        if self.leaf_caps is not None:
            return self.leaves.vector(self.leaf_caps)
        return caps(self.leaves.vector(self.tokens), self.run_tokens, self.repetition)

    def atoms(self, surrogate: Surrogate) -> Array:
        """Write the leaves in terms of the surrogate's columns.

        Args:
            surrogate: The fit.

        Returns:
            [atoms, m]; columns sum to 1.
        """
        return atom_matrix(self.leaves.names, surrogate.leaves, self.splits)

    def in_atoms(self, mixture: Mapping[str, float], surrogate: Surrogate) -> Array:
        """Write a mixture in terms of the surrogate's columns.

        Args:
            mixture: {leaf: weight} of every leaf.
            surrogate: The fit.

        Returns:
            [atoms] weights.
        """
        return np.asarray(self.atoms(surrogate) @ self.leaves.vector(mixture))

    def weights_of_tasks(self, surrogate: Surrogate) -> Array:
        """Arrange the weights of the tasks in the order of a surrogate.

        Args:
            surrogate: The fit.

        Returns:
            [T] weights in the objective, not normalised.
        """
        return np.array([self.task_weights[task] for task in surrogate.tasks])

    def loosened(self) -> tuple[list[Column], list[str]]:
        """Free leaves from their columns until the caps can be met.

        Returns:
            The columns, and the leaves taken out of them.
        """
        return released_for_caps(self.columns, self.leaves.mapping(self.caps))

    def limits(self, names: Sequence[str]) -> tuple[Array, Array, Groups]:
        """Arrange the bounds.

        Args:
            names: Names of the bounds, for messages.

        Returns:
            Lower and upper [m] bounds of single leaves, and the bounds of groups.
        """
        leaves = self.leaves
        lower, upper = np.zeros(len(leaves)), np.full(len(leaves), np.inf)
        members, low, high, group_names = [], [], [], []
        for bound, name in zip(self.bounds, names, strict=True):
            if len(bound.leaves) == 1:
                j = leaves.position(bound.leaves[0])
                lower[j], upper[j] = max(lower[j], bound.low), min(upper[j], bound.high)
            else:
                members.append([float(leaf in bound.leaves) for leaf in leaves])
                low.append(bound.low)
                high.append(bound.high)
                group_names.append(name)
        of_groups = np.array(members).reshape(-1, len(leaves))
        return lower, upper, Groups(tuple(group_names), of_groups, np.array(low), np.array(high))
