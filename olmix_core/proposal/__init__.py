"""The proposal: from a surrogate and a request to the best mixture within its limits.

In: a `Surrogate` and a `ProposalRequest` over leaves (`propose_for_leaves`), or a `ProposalProblem` over the
surrogate's own leaves (`propose`). Out: the weights with a certificate of how much better any other mixture could be,
shadow prices, whole sequences (`round_to_sequences`), and curves of what other settings would give
(`trade_off_curves`). Nothing here reads files or needs torch.
"""

from olmix_core.proposal.constraints import FeasibleSet, Groups
from olmix_core.proposal.leaf_proposal import LeafProposal, propose_for_leaves
from olmix_core.proposal.request import Bound, ProposalRequest
from olmix_core.proposal.rounding import round_to_sequences
from olmix_core.proposal.solve import Proposal, ProposalProblem, propose
from olmix_core.proposal.tradeoffs import trade_off_curves

__all__ = [
    "Bound",
    "FeasibleSet",
    "Groups",
    "LeafProposal",
    "Proposal",
    "ProposalProblem",
    "ProposalRequest",
    "propose",
    "propose_for_leaves",
    "round_to_sequences",
    "trade_off_curves",
]
