"""The synthetic truths are what they say."""

import numpy as np
import pytest

from olmix_core.surrogate.test_problems import Problem, diminishing_returns, log_linear

PROBLEMS = [
    log_linear(),
    log_linear(12, 5, harmful=3, useless=1, seed=3),
    diminishing_returns(),
    diminishing_returns(16, 4, gamma=0.4, useless=2, seed=5),
]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_nothing_is_better_than_the_optimum(problem: Problem) -> None:
    best = problem.objective(problem.optimum[None])[0]
    anywhere = problem.mixtures(2000, seed=1)
    nearby = 0.99 * problem.optimum + 0.01 * anywhere
    assert best <= problem.objective(anywhere).min()
    assert best <= problem.objective(nearby).min()
    # stationary, not merely lower: the loss of a step t is of second order in t
    step = anywhere[0] - problem.optimum
    losses = [problem.objective((problem.optimum + t * step)[None])[0] - best for t in (1e-3, 1e-4)]
    assert losses[1] < losses[0] / 50


def test_useless_tasks_do_not_move_and_harmful_leaves_raise_the_others() -> None:
    problem = log_linear(10, 6, harmful=2, useless=2)
    bpb = problem.bpb(problem.mixtures(50, seed=0))
    columns = [problem.tasks.index(task) for task in problem.useless]
    assert np.ptp(bpb[:, columns], axis=0) == pytest.approx(0.0, abs=1e-12)
    helped = np.eye(10)[0]
    for leaf in problem.harmful:
        alone = np.eye(10)[problem.leaves.index(leaf)]
        assert (problem.bpb(alone[None])[:, :4] > problem.bpb(helped[None])[:, :4]).all()


def test_evidence_has_the_noise_of_the_problem() -> None:
    problem = diminishing_returns(6, 40).with_noise(0.02, 0.05)
    evidence = problem.evidence(400, seed=2)
    error = evidence.Y - problem.bpb(evidence.X)
    assert error.mean(axis=1).std() == pytest.approx(0.05, rel=0.15)
    assert (error - error.mean(axis=1, keepdims=True)).std() == pytest.approx(0.02, rel=0.1)
    assert pytest.approx(evidence.Y, abs=0) == problem.evidence(400, seed=2).Y
