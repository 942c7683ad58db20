"""The adaptive swarm: where the optimum may lie, what is left to gain, and which runs tell most of it."""

from dataclasses import replace

import numpy as np
import pytest

from olmix_core.planning.sequential import Objective, PosteriorOptima, draw_optima, select_batch
from olmix_core.proposal.solve import ProposalProblem, propose
from olmix_core.surrogate.fit import fit_law
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.regression.laws import Law
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.test_problems import Problem, diminishing_returns, log_linear

PROBLEMS = [diminishing_returns(6, 4, seed=1).with_noise(0.02), log_linear(6, 4, seed=1).with_noise(0.02)]


def learnt(problem: Problem, runs: int = 30) -> tuple[LawSurrogate, Objective, PosteriorOptima]:
    family, gamma = problem.law.family, problem.law.common_gamma
    surrogate = fit_law(problem.evidence(runs, seed=0), FitSettings(family=family, gamma=gamma))
    m = len(problem.leaves)
    goal = Objective(np.eye(m), problem.natural, np.full(m, 0.4), problem.kl)
    today = propose(
        surrogate, ProposalProblem(expansion=np.eye(m), natural=problem.natural, caps=goal.caps, kl=problem.kl)
    ).weights
    return surrogate, goal, draw_optima(surrogate, goal, today, draws=24, seed=0)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_drawn_optima_are_mixtures_within_caps(problem: Problem) -> None:
    _, goal, optima = learnt(problem)
    np.testing.assert_allclose(optima.samples.sum(axis=1), 1, atol=1e-9)
    assert (optima.samples <= goal.caps + 1e-9).all()
    assert (optima.samples >= 0).all()


@pytest.mark.parametrize("problem", PROBLEMS)
def test_more_runs_leave_less_to_gain(problem: Problem) -> None:
    few, many = (learnt(problem, runs)[2].remaining_gain for runs in (16, 200))
    assert 0 <= many < 0.5 * few


def test_with_nothing_uncertain_today_is_the_optimum() -> None:
    problem = diminishing_returns(6, 4)  # no noise
    surrogate = fit_law(problem.evidence(60, seed=0), FitSettings(family="diminishing_returns", gamma=0.6, ridge=0.0))
    goal = Objective(np.eye(6), problem.natural, np.ones(6), problem.kl)
    optima = draw_optima(surrogate, goal, problem.optimum, draws=8, seed=0)
    assert optima.remaining_gain < 1e-4
    np.testing.assert_allclose(optima.samples, np.tile(problem.optimum, (8, 1)), atol=2e-2)


def test_a_gamma_for_each_task_draws_the_same_optima_where_it_is_the_same() -> None:
    surrogate, goal, optima = learnt(PROBLEMS[0])
    form = Law("diminishing_returns", (surrogate.law.powers(1)[0],) * len(surrogate.tasks))
    by_task = replace(surrogate, law=form, covariance=replace(surrogate.covariance, law=form))
    again = draw_optima(by_task, goal, optima.incumbent, draws=24, seed=0)
    assert again.remaining_gain == pytest.approx(optima.remaining_gain, rel=1e-3)
    np.testing.assert_allclose(again.samples, optima.samples, atol=2e-3)


def test_frozen_ratios_stay_frozen() -> None:
    problem = PROBLEMS[0]
    surrogate, goal, _ = learnt(problem)
    E = np.zeros((6, 3))
    E[:4, 0], E[4, 1], E[5, 2] = [0.1, 0.2, 0.3, 0.4], 1, 1
    frozen = Objective(E, goal.reference, goal.caps, goal.kl)
    optima = draw_optima(surrogate, frozen, E @ [0.5, 0.25, 0.25], draws=8, seed=0)
    kept = optima.samples[:, :4]
    np.testing.assert_allclose(kept / kept.sum(axis=1, keepdims=True), np.tile(E[:4, 0], (8, 1)), atol=1e-9)
    assert (optima.samples <= frozen.caps + 1e-9).all()


def test_a_batch_is_distinct_deterministic_and_avoids_what_is_known() -> None:
    problem = PROBLEMS[0]
    surrogate, goal, optima = learnt(problem)
    candidates = problem.mixtures(60, seed=4)
    batch = select_batch(surrogate, optima, candidates, 8, goal)
    assert len(set(batch)) == 8
    assert batch == select_batch(surrogate, optima, candidates, 8, goal)
    assert batch[:3] == select_batch(surrogate, optima, candidates, 3, goal)
    # given the first run, one like it tells little more
    twin = np.vstack([candidates, candidates[batch[0]]])
    again = select_batch(surrogate, optima, twin, 2, goal)
    assert again[1] not in (batch[0], 60)
