"""The proposal for a surrogate without a law: random candidates, the best of which are improved along their slopes.

Rounds of candidates are drawn from Dirichlet distributions, first around the KL reference and then ever closer around
the best so far; a candidate outside the feasible set is moved towards a point inside until it is in. The mixtures of
the runs are candidates as well, and for some families the only ones. The seed is fixed.
"""

import numpy as np
from scipy.optimize import nnls

from olmix_core.errors import ProposalError
from olmix_core.mixture import Array
from olmix_core.proposal.constraints import FeasibleSet
from olmix_core.proposal.local import corners, solve_locally
from olmix_core.proposal.objective import Program

_ROUNDS, _DRAWS = 12, 4096
_FIRST, _LAST = 5.0, 5000.0  # Dirichlet strength of the first and of the last round
_THIN = 1e-3  # least Dirichlet strength of a leaf, so that a weight of 0 can grow
_INSIDE = 16  # corners, the mean of which is a point inside
_FOLLOWED = 4  # candidates that a local solver improves
_SAME = 1e-9


def solve_by_sampling(program: Program) -> tuple[Array, str]:
    """Search the feasible set for the best mixture.

    Args:
        program: The objective and its feasible set.

    Returns:
        Columns r [d], and how they were found.

    Raises:
        ProposalError: Only runs may be proposed, and none is feasible.
    """
    surrogate, feasible = program.surrogate, program.feasible
    runs = _within(feasible, surrogate.trained_mixtures)
    if surrogate.proposes_runs_only:
        if not len(runs):
            raise ProposalError(
                f"family {surrogate.family!r} proposes one of the mixtures that were run, and none of them meets the"
                " caps, bounds and frozen ratios; choose another family or allow more epochs"
            )
        return runs[np.argmin(program.values(runs))], f"best of {len(runs)} runs"
    inside = np.mean(corners(feasible, _INSIDE), axis=0)
    around, _ = nnls(feasible.expansion, program.reference)
    pool = np.vstack([runs, shrink_into(feasible, inside, around[None] / around.sum())])
    values = program.values(pool)
    random = np.random.default_rng(0)
    for strength in np.geomspace(_FIRST, _LAST, _ROUNDS):
        centre = pool[np.argmin(values)]
        drawn = shrink_into(feasible, inside, random.dirichlet(strength * centre + _THIN, _DRAWS))
        pool, values = np.vstack([pool, drawn]), np.concatenate([values, program.values(drawn)])
        best = np.argsort(values, kind="stable")[:_FOLLOWED]
        pool, values = pool[best], values[best]
    if not surrogate.is_smooth:
        return pool[0], f"best of {_ROUNDS * _DRAWS} candidates"
    free, _ = solve_locally(program, list(pool))
    best_free = min((free, pool[0]), key=program.value)
    return best_free, f"local optimum from the best of {_ROUNDS * _DRAWS} candidates"


def shrink_into(feasible: FeasibleSet, inside: Array, R: Array) -> Array:
    """Move points outside the feasible set towards a point inside until they are in.

    Args:
        feasible: The feasible set.
        inside: [d] a feasible point.
        R: [n, d] points.

    Returns:
        [n, d] feasible points.
    """
    at, step = feasible.matrix @ inside, (R - inside) @ feasible.matrix.T
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        up = np.where(step > 0, (feasible.upper - at) / step, np.inf)
        down = np.where(step < 0, (feasible.lower - at) / step, np.inf)
    share = np.clip(np.minimum(up, down).min(axis=1), 0.0, 1.0)
    return np.asarray(inside + share[:, None] * (R - inside))


def _within(feasible: FeasibleSet, Q: Array) -> Array:
    """[n', d] the columns behind those of the mixtures Q [n, m] that lie in the feasible."""
    inside = []
    for q in Q:
        r, distance = nnls(feasible.expansion, q)
        if distance < _SAME and feasible.violation(feasible.expansion @ r) < _SAME:
            inside.append(r / r.sum())
    return np.array(inside).reshape(-1, feasible.expansion.shape[1])
