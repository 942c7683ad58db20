"""Rounding of weights to whole sequences of a run.

A trainer draws whole sequences, so a weight at its cap must be rounded down. Every limit holds after rounding: an
integer program moves each leaf by a sequence or two from its exact share, as little as possible, and fills the run as
far as the limits permit.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

from olmix_core.errors import ProposalError
from olmix_core.mixture import Array
from olmix_core.proposal.constraints import FeasibleSet

_FILL = 10.0  # cost of a missing sequence, in sequences moved
_SLACK = 1e-9  # relative tolerance of limits in sequences


def round_to_sequences(
    weights: Array, target_tokens: float, sequence_length: int, limits: FeasibleSet
) -> NDArray[np.int64]:
    """Round weights to whole sequences within limits.

    Args:
        weights: [m] weights, which sum to 1.
        target_tokens: Tokens of the run.
        sequence_length: Tokens of a sequence.
        limits: Limits on weights, which hold for the rounded ones too.

    Returns:
        [m] sequences of each leaf, at most target_tokens / sequence_length in all.

    Raises:
        ProposalError: The run is too short for its limits to hold in whole sequences.
    """
    total = int(target_tokens // sequence_length)
    exact = weights * total
    whole = np.floor(exact)
    part, m = exact - whole, len(weights)
    most = np.floor(np.where(np.isfinite(limits.upper), limits.upper, 1.0) * total * (1 + _SLACK))
    least = np.ceil(limits.lower * total * (1 - _SLACK))
    if total < 1:
        raise ProposalError(
            f"found a run of {target_tokens:g} tokens; expected at least one sequence of {sequence_length}"
        )
    # Unknowns: sequences added to each leaf, and the distance from its exact share.
    eye, nothing = np.eye(m), np.zeros((len(limits.rows), m))
    fixed = limits.rows @ whole
    solution = milp(
        np.concatenate([np.full(m, -_FILL), np.ones(m)]),
        integrality=np.concatenate([np.ones(m), np.zeros(m)]),
        bounds=Bounds(np.concatenate([np.maximum(-whole, -m), np.zeros(m)]), np.full(2 * m, m + 1.0)),
        constraints=[
            LinearConstraint(np.hstack([limits.rows, nothing]), least - fixed, most - fixed),
            LinearConstraint(np.hstack([np.ones((1, m)), np.zeros((1, m))]), -np.inf, total - whole.sum()),
            LinearConstraint(np.hstack([eye, -eye]), -np.inf, part),
            LinearConstraint(np.hstack([eye, eye]), part, np.inf),
        ],
    )
    if solution.x is None:
        raise ProposalError(
            f"a run of {total:,} sequences of {sequence_length} tokens is too short for its bounds to hold in whole"
            " sequences; expected wider bounds or a shorter proposal.sequence_length"
        )
    return np.asarray(whole + np.round(solution.x[:m]), dtype=np.int64)
