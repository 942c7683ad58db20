"""How much better than a point any feasible mixture can be, proved without trusting a solver.

A tangent to a convex objective lies below it, so the least value of a tangent over the feasible set, a linear program,
is one that no feasible mixture can beat. The dual values of that program are the prices of the limits.
"""

import numpy as np

from olmix_core.errors import ProposalError
from olmix_core.mixture import Array
from olmix_core.proposal.objective import Program

_HELD = 1e-6  # relative distance to a limit at which a leaf counts as held
_SMALL = 0.1  # share of kl below which a weight counts as small


def certificate(program: Program, r: Array) -> tuple[float, Array]:
    """Bound the distance of a convex objective to its optimum.

    Args:
        program: The objective and its feasible set.
        r: [d] columns.

    Returns:
        BPB by which a feasible mixture can be better than that of r, at most (inf without proof), and the price [n] of
        each upper limit.
    """
    least, prices = lower_bound(program, r)
    return max(0.0, published_value(program, r) - least), prices


def lower_bound(program: Program, r: Array) -> tuple[float, Array]:
    """Bound a convex objective from below by its tangents at r and near it; the better one is taken.

    Args:
        program: The objective and its feasible set.
        r: [d] columns.

    Returns:
        BPB that no feasible mixture is below (-inf without proof), and the price [n] of each upper limit.
    """
    tangents = (_tangent(program, point) for point in (r, _settled(program, r)))
    return max(tangents, key=lambda pair: pair[0])


def published_value(program: Program, r: Array) -> float:
    """Compute the objective of the mixture that is published for r, projected into the limits.

    A weight of 1e-11 that a solver leaves slightly outside matters where its slope is steep.

    Args:
        program: The objective and its feasible set.
        r: [d] columns.

    Returns:
        BPB, penalties included.
    """
    limits = program.feasible
    return float(program.mixture_values(limits.project(limits.expansion @ r)[None])[0])


def _tangent(program: Program, r: Array) -> tuple[float, Array]:
    """The least value over the feasible set of the tangent at r, and its fall per unit of each upper limit.

    A tangent whose linear program fails proves nothing: its least value is -inf.
    """
    slope = program.slope(r)
    try:
        least, prices = program.feasible.linear_minimum(slope)
    except ProposalError:
        return -np.inf, np.zeros(len(program.feasible.upper))
    return program.value(r) + least - float(slope @ r), prices


def _settled(program: Program, r: Array) -> Array:
    """Correct the small free columns of r by the optimality conditions.

    The slope of the KL term is logarithmic, so a negligible absolute error in a tiny weight is a large error in its
    slope. At the optimum the slope of a column is a level common to all columns plus the prices of the limits that hold
    it. Level and prices are estimated from all free columns, and small columns are moved to match them; the tangent
    there is a much better bound.
    """
    if not program.kl:
        return r
    limits, slope, limited = program.feasible, program.slope(r), program.feasible.matrix @ r
    columns = limits.matrix > 0
    alone = columns.sum(axis=1) == 1
    held = (limited >= limits.upper * (1 - _HELD)) | ((limited <= limits.lower * (1 + _HELD)) & (limits.lower > 0))
    shared = limits.matrix[held & ~alone]
    free = ~columns[held & alone].any(axis=0)
    if not r[free].sum() > 0:
        return r
    design, root = np.vstack([np.ones(len(r)), shared]).T, np.sqrt(r[free])
    level_and_prices = np.linalg.lstsq(design[free] * root[:, None], slope[free] * root)[0]
    off = np.clip(design @ level_and_prices - slope, -50.0 * program.kl, 50.0 * program.kl)
    moved = r * np.exp(off / program.kl)
    return np.where(free & (r < _SMALL * program.kl), moved, r)
