"""The convex proposal, of a law without pessimism: an interior-point method of our own, then a conic program for cvxpy.

A solution counts as optimal only with a certificate. Where no method reaches it, the solution with the smallest gap is
the answer, and its status says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from olmix_core.mixture import Array
from olmix_core.proposal.certificate import lower_bound, published_value
from olmix_core.proposal.interior_point import refine
from olmix_core.proposal.local import corners, solve_locally
from olmix_core.proposal.objective import Program

_GAP = 1e-6  # BPB by which an accepted solution may be worse than the optimum; relative for the last, above 1 BPB
_FEASIBLE = 1e-6  # violation of a limit that an answer without certificate may have; it is projected afterwards
_INSIDE = 16  # corners, the mean of which is a point inside

OPTIMAL = "optimal"
NOT_PROVED = "best found, not proved optimal"


@dataclass(frozen=True)
class Solution:
    """Columns r [d], how they were found, and the BPB by which a feasible mixture can be better, at most."""

    free: Array
    status: str
    gap: float = np.inf


def solve_convex(program: Program) -> Solution:
    """Find the optimum without pessimism. Another method is tried where one falls short.

    The bounds of all methods together decide how good each answer is, so a later method may prove an earlier answer.

    Args:
        program: The objective and its feasible set; the surrogate has a law. Its pessimism is left out.

    Returns:
        The first answer that is proved, or else the best one.
    """
    convex = replace(program, pessimism=0.0)
    answers: list[tuple[float, Array]] = []
    least = -np.inf
    for free in _attempts(convex):
        least = max(least, lower_bound(convex, free)[0])
        if convex.feasible.violation(convex.feasible.expansion @ free) <= _FEASIBLE:
            answers.append((published_value(convex, free), free))
        for value, answer in answers:
            if value - least <= _GAP:
                return Solution(answer, OPTIMAL, max(0.0, value - least))
    if not answers:
        start, _ = solve_locally(convex, [np.mean(corners(convex.feasible, _INSIDE), axis=0)])
        answers = [(published_value(convex, start), start)]
    value, free = min(answers, key=lambda answer: answer[0])
    gap = max(0.0, value - least)
    return Solution(free, OPTIMAL if gap <= _GAP * max(1.0, abs(value)) else NOT_PROVED, gap)


def _attempts(program: Program) -> Iterator[Array]:
    """Solutions r [d] of one method after the other."""
    yield refine(program)
    # Imported where it is needed: cvxpy takes a second, and the first method nearly always answers.
    from olmix_core.proposal import conic

    yield from conic.solutions(program)
