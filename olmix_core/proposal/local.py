"""Proposals that are not convex: local minima from several starts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import LinearConstraint, minimize

from olmix_core.mixture import Array
from olmix_core.proposal.constraints import FeasibleSet
from olmix_core.proposal.objective import Program

_FEASIBLE = 1e-7  # violation of a limit that a local minimum may have; it is projected afterwards


def corners(feasible: FeasibleSet, count: int) -> list[Array]:
    """Find corners of the feasible set in random directions, with a fixed seed.

    Args:
        feasible: The feasible set over d columns.
        count: Number of corners.

    Returns:
        `count` columns r [d].
    """
    random = np.random.default_rng(0)
    return [feasible.linear_minimiser(slopes) for slopes in random.standard_normal((count, feasible.matrix.shape[1]))]


def solve_locally(program: Program, starts: Sequence[Array]) -> tuple[Array, str]:
    """Follow the slope from several starts, and keep the best local minimum.

    Args:
        program: The objective and its feasible set.
        starts: Feasible columns r [d].

    Returns:
        Columns r [d], and the status. The best start is returned where the solver leaves the feasible set from all.
    """
    limits = program.feasible
    bounded, raised = np.isfinite(limits.upper), limits.lower > 0
    constraints: list[Any] = [LinearConstraint(np.ones((1, len(starts[0]))), 1.0, 1.0)]
    if bounded.any():
        constraints.append(LinearConstraint(limits.matrix[bounded], -np.inf, limits.upper[bounded]))
    if raised.any():
        constraints.append(LinearConstraint(limits.matrix[raised], limits.lower[raised], np.inf))
    local: Any = minimize  # its overloads are too narrow for constraints in a list
    minima = [
        local(
            program.value,
            start,
            jac=program.slope,
            method="SLSQP",
            bounds=[(0.0, 1.0)] * len(start),
            constraints=constraints,
            options={"maxiter": 500, "ftol": 1e-11},
        )
        for start in starts
    ]
    usable = [
        minimum
        for minimum in minima
        if np.isfinite(minimum.fun) and limits.violation(limits.expansion @ minimum.x) < _FEASIBLE
    ]
    if not usable:
        return min(starts, key=program.value), f"best of {len(starts)} starts, not a local optimum"
    best = min(usable, key=lambda minimum: float(minimum.fun))
    free = np.maximum(best.x, 0.0)
    return free / free.sum(), f"local optimum, best of {len(starts)} starts"
