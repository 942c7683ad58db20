"""The convex proposal, of a law without pessimism: a conic program for cvxpy."""

import warnings
from dataclasses import replace
from typing import Any

import cvxpy
import numpy as np

from olmix_core.errors import ProposalError
from olmix_core.mixture import Array
from olmix_core.proposal.certificate import certificate
from olmix_core.proposal.objective import Program

cp: Any = cvxpy  # its exports are not typed

_GAP = 1e-6  # BPB by which an accepted solution may be worse than the optimum
_ACCURACY = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}
_SOLVERS: tuple[tuple[str, dict[str, float]], ...] = (
    ("CLARABEL", _ACCURACY),
    ("CLARABEL", {**_ACCURACY, "static_regularization_constant": 1e-10}),
)


def solve_convex(program: Program) -> tuple[Array, str]:
    """Find the optimum without pessimism. A second solver is tried where the first falls short.

    Args:
        program: The objective and its feasible set; the surrogate has a law. Its pessimism is left out.

    Returns:
        Columns r [d], and the status.

    Raises:
        ProposalError: No solver reaches the optimum within 1e-6 BPB.
    """
    convex = replace(program, pessimism=0.0)
    tried = []
    for solver, settings in _SOLVERS:
        variable, problem = _cone_program(convex)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of accuracy, which is checked below
                problem.solve(solver=solver, **settings)
        except cp.SolverError as error:
            tried.append(f"{solver}: {error}")
            continue
        if variable.value is None:
            tried.append(f"{solver}: {problem.status}")
            continue
        free = np.maximum(variable.value, 0.0)
        free = free / free.sum()
        gap, _ = certificate(convex, free)
        if gap <= _GAP * max(1.0, abs(convex.value(free))):
            return free, "optimal"
        tried.append(f"{solver}: {problem.status}, but up to {gap:.2g} BPB from the optimum")
    raise ProposalError(f"the solvers did not reach the optimum ({'; '.join(tried)})")


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
