"""A wish: what is asked of the mixture, in the terms of the leaves of today; and the proposal that answers it.

The law may speak of other content as well (`carry`: atoms). A wish is turned into a program over atoms and its answer
back into leaves. Caps, bounds and the KL reference are always on leaves. Published are whole sequences (`quantise`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from olmix_core.evidence.atoms import Split, atom_matrix
from olmix_core.mixture import Array, LeafIndex, caps
from olmix_core.proposal.constraints import Groups, check_feasible, region
from olmix_core.proposal.expansion import Column, expansion, released_for_caps
from olmix_core.proposal.rounding import whole_sequences
from olmix_core.proposal.solve import Proposal, propose
from olmix_core.surrogate.base import Surrogate


@dataclass(frozen=True)
class Bound:
    """The summed weight of `leaves` lies in [low, high]."""

    leaves: tuple[str, ...]
    low: float
    high: float


@dataclass(frozen=True)
class ProposalRequest:
    """Leaves are content fingerprints; tokens {leaf: tokens available}; columns are those of the expansion.

    natural and reference {leaf: share}; reference None means natural. target_tokens R, repetition k: no leaf is seen
    more than k times in a run of R tokens. task_weights {task: weight}. sequence_length in tokens.
    """

    columns: Sequence[Column]
    splits: Split
    natural: Mapping[str, float]
    tokens: Mapping[str, int]
    target_tokens: float
    repetition: float
    kl: float
    task_weights: Mapping[str, float]
    bounds: Sequence[Bound] = ()
    reference: Mapping[str, float] | None = None
    pessimism: float = 0.0
    sequence_length: int = 1

    @property
    def leaves(self) -> LeafIndex:
        """The leaves, in the order of all vectors over leaves."""
        return LeafIndex.sorted(self.natural)

    @property
    def caps(self) -> Array:
        """[m] the highest weight of each leaf."""
        return caps(self.leaves.vector(self.tokens), self.target_tokens, self.repetition)

    def in_atoms(self, mixture: Mapping[str, float], model: Surrogate) -> Array:
        """A mixture {leaf: weight} as the model takes it [atoms]."""
        made_of = atom_matrix(self.leaves.names, model.leaves, self.splits)
        return np.asarray(made_of @ self.leaves.vector(mixture))

    def loosened(self) -> tuple[list[Column], list[str]]:
        """The columns, and the leaves taken out of them so that the caps can be met."""
        return released_for_caps(self.columns, self.leaves.mapping(self.caps))

    def limits(self, names: Sequence[str]) -> tuple[Array, Array, Groups]:
        """Lower and upper [m] bounds of single leaves, and the bounds of groups; `names` are those of the bounds."""
        leaves = self.leaves
        lower, upper = np.zeros(len(leaves)), np.full(len(leaves), np.inf)
        members, low, high, named = [], [], [], []
        for bound, name in zip(self.bounds, names, strict=True):
            if len(bound.leaves) == 1:
                j = leaves.position(bound.leaves[0])
                lower[j], upper[j] = max(lower[j], bound.low), min(upper[j], bound.high)
            else:
                members.append(leaves.vector(dict.fromkeys(bound.leaves, 1.0)))
                low.append(bound.low)
                high.append(bound.high)
                named.append(name)
        return (
            lower,
            upper,
            Groups(tuple(named), np.array(members).reshape(-1, len(leaves)), np.array(low), np.array(high)),
        )


@dataclass(frozen=True)
class LeafProposal:
    """A proposal in leaves [m], in the order of `Wish.leaves`.

    weights are the solver's; sequences the whole sequences of each leaf in the run; shadow_prices BPB per unit of
    weight by which the leaf's cap rises; group_prices the same for the upper bounds of groups, {name: price}.
    """

    proposal: Proposal
    weights: Array
    caps: Array
    at_cap: NDArray[np.bool_]
    shadow_prices: Array
    sequences: NDArray[np.int64]
    loosened: tuple[str, ...]


def propose_for_leaves(
    model: Surrogate,
    wish: ProposalRequest,
    *,
    labels: Mapping[str, str] | None = None,
    bound_names: Sequence[str] | None = None,
) -> LeafProposal:
    """The best mixture that meets a wish.

    labels {leaf: name} and bound_names, one per bound, are for messages. Raises ProposalError where no mixture is
    possible.
    """
    leaves = wish.leaves
    names = [labels[leaf] if labels else leaf for leaf in leaves]
    bound_names = bound_names or [" + ".join(bound.leaves) for bound in wish.bounds]
    columns, loosened = wish.loosened()
    matrix, highest = expansion(columns, leaves.names), wish.caps
    lower, upper, groups = wish.limits(bound_names)
    check_feasible(matrix, highest, lower, upper, names, groups)
    # The model speaks of atoms: of each leaf of today the atoms that it is made of (see `carry`).
    made_of = atom_matrix(leaves.names, model.leaves, wish.splits)
    belongs = (made_of > 0).astype(np.float64)  # an atom belongs to one leaf
    found = propose(
        model,
        expansion=made_of @ matrix,
        natural=made_of @ leaves.vector(wish.natural),
        reference=None if wish.reference is None else made_of @ leaves.vector(wish.reference),
        caps=made_of @ highest,
        lower=made_of @ lower,
        upper=np.where(belongs.sum(axis=1) > 0, made_of @ np.minimum(upper, 1.0), np.inf),
        groups=replace(groups, members=groups.members @ belongs.T),
        kl=wish.kl,
        task_weights=np.array([wish.task_weights[task] for task in model.tasks]),
        pessimism=wish.pessimism,
    )
    weights = found.weights @ belongs
    return LeafProposal(
        proposal=found,
        weights=weights,
        caps=highest,
        at_cap=found.at_cap @ belongs > 0,
        shadow_prices=found.shadow_prices @ made_of,
        sequences=whole_sequences(
            weights, wish.target_tokens, wish.sequence_length, region(matrix, highest, lower, upper, groups)
        ),
        loosened=tuple(loosened),
    )
