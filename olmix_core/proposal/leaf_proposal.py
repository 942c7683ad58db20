"""The proposal that answers a request: solved over the surrogate's columns, given back over today's leaves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from olmix_core.mixture import Array, LeafIndex
from olmix_core.proposal.constraints import FeasibleSet, feasible_set
from olmix_core.proposal.expansion import expansion
from olmix_core.proposal.feasibility import check_feasible
from olmix_core.proposal.request import ProposalRequest
from olmix_core.proposal.rounding import round_to_sequences
from olmix_core.proposal.solve import Proposal, ProposalProblem, propose
from olmix_core.surrogate.base import Surrogate


@dataclass(frozen=True)
class LeafProposal:
    """A proposal over m leaves.

    Attributes:
        leaves: The leaves, in the order of all vectors here.
        proposal: The solution over atoms.
        weights: [m] weights.
        caps: [m] highest weights.
        at_cap: [m] the leaf is held by its cap.
        shadow_prices: [m] BPB gained per unit of weight by which the cap of a leaf rises.
        loosened: Leaves that were freed from their column so that the caps could be met.
        request: The request.
        feasible: The feasible set over leaves.
    """

    leaves: LeafIndex
    proposal: Proposal
    weights: Array
    caps: Array
    at_cap: NDArray[np.bool_]
    shadow_prices: Array
    loosened: tuple[str, ...]
    request: ProposalRequest
    feasible: FeasibleSet

    @cached_property
    def sequences(self) -> NDArray[np.int64]:
        """[m] Training sequences allocated to each leaf.

        Raises:
            ProposalError: The run is too short to meet the bounds.
        """
        tokens, length = self.request.run_tokens, self.request.sequence_length
        return round_to_sequences(self.weights, tokens, length, self.feasible)


def propose_for_leaves(
    surrogate: Surrogate,
    request: ProposalRequest,
    *,
    labels: Mapping[str, str] | None = None,
    bound_names: Sequence[str] | None = None,
) -> LeafProposal:
    """Find the best mixture that meets a request.

    Args:
        surrogate: The fit, over atoms.
        request: The request, over leaves.
        labels: {leaf: name} for messages; None names leaves as the request does.
        bound_names: Names of the bounds for messages; None names their leaves.

    Returns:
        The proposal over leaves.

    Raises:
        ProposalError: No mixture meets the request, or the solver did not find the best.
    """
    leaves = request.leaves
    names = [labels[leaf] if labels else leaf for leaf in leaves]
    bound_names = bound_names or [" + ".join(bound.leaves) for bound in request.bounds]
    columns, loosened = request.loosened()
    matrix, highest = expansion(columns, leaves.names), request.caps
    lower, upper, groups = request.limits(bound_names)
    check_feasible(matrix, highest, lower, upper, names, groups)
    atoms = request.atoms(surrogate)
    belongs = (atoms > 0).astype(np.float64)  # each atom belongs to one leaf
    problem = ProposalProblem(
        expansion=atoms @ matrix,
        natural=request.in_atoms(request.natural, surrogate),
        reference=None if request.reference is None else request.in_atoms(request.reference, surrogate),
        caps=atoms @ np.where(np.isfinite(highest), highest, 1.0),
        lower=atoms @ lower,
        upper=np.where(belongs.sum(axis=1) > 0, atoms @ np.minimum(upper, 1.0), np.inf),
        groups=replace(groups, members=groups.members @ belongs.T),
        kl=request.kl,
        task_weights=request.weights_of_tasks(surrogate),
        pessimism=request.pessimism,
    )
    proposal = propose(surrogate, problem)
    return LeafProposal(
        leaves=leaves,
        proposal=proposal,
        weights=proposal.weights @ belongs,
        caps=highest,
        at_cap=proposal.at_cap @ belongs > 0,
        shadow_prices=proposal.shadow_prices @ atoms,
        loosened=tuple(loosened),
        request=request,
        feasible=feasible_set(matrix, highest, lower, upper, groups),
    )
