"""The certificate of a proposal."""

import numpy as np

from olmix_core.proposal.certificate import certificate
from olmix_core.proposal.constraints import Groups, feasible_set
from olmix_core.proposal.convex import solve_convex
from olmix_core.proposal.objective import Program
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.regression.laws import Law, Parameters
from tests.support.true_surrogate import surrogate_of


def with_a_held_group() -> tuple[Program, np.ndarray]:
    """A group of three leaves at its upper bound, one of which is good for nothing, and its optimum."""
    v = np.array([[-1.0, -1.2, 2.0, -0.4, 3.0]])
    surrogate: LawSurrogate = surrogate_of(Law("log_linear"), Parameters(np.zeros(1), np.zeros(1), v))
    group = Groups(("some",), np.array([[1.0, 1.0, 1.0, 0.0, 0.0]]), np.zeros(1), np.array([0.5]))
    free = np.full(5, np.inf)
    program = Program(
        surrogate, np.ones(1), np.full(5, 0.2), 0.2, 0.0, feasible_set(np.eye(5), free, None, None, groups=group)
    )
    return program, solve_convex(program).free


def test_certificate_tolerates_solver_error_in_negligible_weights() -> None:
    program, best = with_a_held_group()
    assert program.feasible.matrix[5] @ best > 0.5 - 1e-9
    assert 0 < best[2] < 1e-3
    assert 0 < best[4] < 1e-3
    off = best * np.where(best < 1e-3, 0.99, 1.0)
    gap, prices = certificate(program, off / off.sum())
    assert gap < 1e-6
    assert prices[5] > 0.01
    # What is truly worse is not forgiven.
    worse = best + 0.02 * (np.array([1.0, 0, 0, 0, 0]) - np.array([0, 1.0, 0, 0, 0]))
    lost = program.value(worse) - program.value(best)
    assert lost > 1e-5
    assert certificate(program, worse)[0] >= lost
