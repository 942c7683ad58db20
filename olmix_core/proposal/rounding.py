"""From weights to whole sequences: how many sequences of each leaf a run of R tokens takes.

A trainer draws whole sequences, so a weight at its cap must be rounded down, whatever the nearest number is. Every
limit holds after rounding: an integer program moves each leaf by a sequence or two from its exact share, as little as
possible, and fills the run as far as the limits let it.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

from olmix_core.errors import ProposalError
from olmix_core.mixture import Array
from olmix_core.proposal.constraints import FeasibleSet

_FILL = 10.0  # what a missing sequence costs, in sequences moved
_SLACK = 1e-9  # of a sequence, relative: rounding of limits


def whole_sequences(
    weights: Array, target_tokens: float, sequence_length: int, limits: FeasibleSet
) -> NDArray[np.int64]:
    """[m] sequences of each leaf, at most target_tokens / sequence_length in all.

    Raises ProposalError where no whole number of sequences meets the limits: the run is too short for them.
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
    # Unknowns: whole sequences added to each leaf, and how far that is from its exact share.
    eye, nothing = np.eye(m), np.zeros((len(limits.rows), m))
    fixed = limits.rows @ whole
    found = milp(
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
    if found.x is None:
        raise ProposalError(
            f"a run of {total:,} sequences of {sequence_length} tokens is too short for its bounds to hold in whole"
            " sequences; expected wider bounds or a shorter proposal.sequence_length"
        )
    return np.asarray(whole + np.round(found.x[:m]), dtype=np.int64)
