"""The convex proposal as a conic program for cvxpy (Diamond and Boyd 2016), solved by Clarabel."""

import warnings
from collections.abc import Iterator
from typing import Any

import cvxpy
import numpy as np

from olmix_core.mixture import Array
from olmix_core.proposal.objective import Program

cp: Any = cvxpy  # its exports are not typed

_ACCURACY = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}
SOLVERS: tuple[tuple[str, dict[str, float]], ...] = (
    ("CLARABEL", _ACCURACY),
    ("CLARABEL", {**_ACCURACY, "static_regularization_constant": 1e-10}),
)


def solutions(program: Program) -> Iterator[Array]:
    """Solve a program with one solver after the other.

    Args:
        program: The objective, without pessimism, and its feasible set; the surrogate has a law.

    Yields:
        Columns r [d], which sum to 1; none from a solver that fails.
    """
    for solver, settings in SOLVERS:
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


def _cone_program(program: Program) -> tuple[Any, Any]:
    """The problem in cvxpy: an exponential cone per task, and a power cone per leaf and gamma < 1."""
    fitted = program.surrogate.fitted_law
    assert fitted is not None
    law, p = fitted.law, fitted.parameters
    limits = program.feasible
    r = cp.Variable(limits.expansion.shape[1], nonneg=True)
    q = limits.expansion @ r
    reached = np.flatnonzero(limits.expansion.any(axis=1))  # a cone for what is 0 anyway costs accuracy
    powers, exponent = np.array(law.powers(len(p.b))), p.b
    for power in np.unique(powers):
        v = np.where(powers[:, None] == power, p.v, 0.0)
        if power == 1.0:
            exponent = exponent + (v if law.gamma is None else -v) @ q
        else:
            exponent = exponent - v[:, reached] @ cp.power(q[reached], power, approx=False)
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
