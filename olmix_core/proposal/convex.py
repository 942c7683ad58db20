"""The convex proposal, of a law without pessimism: a conic program for cvxpy, then an interior-point method of our own.

A solution counts as optimal only with a certificate. Where no method reaches it, the solution with the smallest gap is
the answer, and its status says so.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cvxpy
import numpy as np

from olmix_core.mixture import Array
from olmix_core.proposal.certificate import lower_bound, published_value
from olmix_core.proposal.interior_point import refine
from olmix_core.proposal.local import corners, solve_locally
from olmix_core.proposal.objective import Program

cp: Any = cvxpy  # its exports are not typed

_GAP = 1e-6  # BPB by which an accepted solution may be worse than the optimum; relative for the last, above 1 BPB
_FEASIBLE = 1e-6  # violation of a limit that an answer without certificate may have; it is projected afterwards
_INSIDE = 16  # corners, the mean of which is a point inside
_ACCURACY = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}
_SOLVERS: tuple[tuple[str, dict[str, float]], ...] = (
    ("CLARABEL", _ACCURACY),
    ("CLARABEL", {**_ACCURACY, "static_regularization_constant": 1e-10}),
)


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
    for solver, settings in _SOLVERS:
        variable, problem = _cone_program(program)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of accuracy, which is checked by the certificate
                problem.solve(solver=solver, **settings)
        except cp.SolverError:
            continue
        if variable.value is not None:
            free = np.maximum(variable.value, 0.0)
            yield free / free.sum()
    yield refine(program)


def _cone_program(program: Program) -> tuple[Any, Any]:
    """The problem in cvxpy: an exponential cone per task and leaf, and a power cone per leaf where gamma < 1."""
    fitted = program.surrogate.fitted_law
    assert fitted is not None
    law, p = fitted.law, fitted.parameters
    limits = program.feasible
    r = cp.Variable(limits.expansion.shape[1], nonneg=True)
    q = limits.expansion @ r
    if law.gamma is None or law.gamma == 1.0:
        exponent = p.b + (p.v if law.gamma is None else -p.v) @ q
    else:
        reached = np.flatnonzero(limits.expansion.any(axis=1))  # a cone for what is 0 anyway costs accuracy
        exponent = p.b - p.v[:, reached] @ cp.power(q[reached], law.gamma, approx=False)
    objective = program.task_weights @ cp.exp(exponent)
    if program.kl:
        possible = np.flatnonzero(program.reference > 0)
        # KL as entropy and a linear term: its cones then do not have the scale of tiny references
        divergence = -cp.sum(cp.entr(q[possible])) - np.log(program.reference[possible]) @ q[possible]
        objective += program.kl * divergence
    bounded = np.isfinite(limits.upper) & limits.matrix.any(axis=1)
    raised = limits.lower > 0
    constraints = [cp.sum(r) == 1]
    if bounded.any():
        constraints.append(limits.matrix[bounded] @ r <= limits.upper[bounded])
    if raised.any():
        constraints.append(limits.matrix[raised] @ r >= limits.lower[raised])
    return r, cp.Problem(cp.Minimize(objective), constraints)
