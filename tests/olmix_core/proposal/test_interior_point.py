"""The interior-point method, and proposals that the conic solver alone does not reach."""

import numpy as np
import pytest
from scipy.optimize import brentq

from benchmarks.bench_random_proposals import draw, sound_gap
from olmix_core.mixes.record_builder import solver_notes
from olmix_core.mixes.record_parts import SolverRecord
from olmix_core.proposal import conic, convex
from olmix_core.proposal.constraints import Groups, feasible_set
from olmix_core.proposal.interior_point import refine
from olmix_core.proposal.objective import Program
from olmix_core.proposal.solve import ProposalProblem, propose
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.regression.laws import Law, Parameters
from tests.support.true_surrogate import surrogate_of

TEN_DECADES = np.array([1e13, 2e5, 1e4, 300.0])
SLOPES = np.array([0.3, -2.0, 1.0, -4.0])


def one_task(slopes: np.ndarray) -> LawSurrogate:
    return surrogate_of(Law("log_linear"), Parameters(np.array([0.5]), np.zeros(1), slopes[None]))


def many_tasks(m: int, seed: int, gamma: float | tuple[float, ...] = 0.4) -> LawSurrogate:
    random = np.random.default_rng(seed)
    v = np.maximum(random.normal(0, 2, (12, m)), 0)
    return surrogate_of(Law("diminishing_returns", gamma), Parameters(random.random(12), random.normal(0, 1, 12), v))


def program(surrogate: LawSurrogate, natural: np.ndarray, kl: float, caps: np.ndarray | None = None) -> Program:
    m, tasks = len(natural), len(surrogate.tasks)
    limits = feasible_set(np.eye(m), np.full(m, np.inf) if caps is None else caps, None, None)
    return Program(surrogate, np.full(tasks, 1 / tasks), natural / natural.sum(), kl, 0.0, limits)


def tilted(natural: np.ndarray, slopes: np.ndarray, kl: float) -> np.ndarray:
    """The optimum of one log-linear task: q is natural * exp(-level slopes / kl), and level = exp(slopes . q)."""

    def mixture(level: float) -> np.ndarray:
        exponent = np.log(natural) - level * slopes / kl
        weights = np.exp(exponent - exponent.max())
        return np.asarray(weights / weights.sum())

    level = brentq(lambda level: level - np.exp(slopes @ mixture(level)), 1e-3, 1e3, xtol=1e-15)
    return mixture(float(level))


@pytest.mark.parametrize("kl", [0.05, 0.5])
def test_shares_over_ten_decades_have_their_exact_optimum(kl: float) -> None:
    natural = TEN_DECADES / TEN_DECADES.sum()
    best = tilted(natural, SLOPES, kl)
    proposal = propose(
        one_task(SLOPES),
        ProposalProblem(expansion=np.eye(4), natural=natural, caps=np.full(4, np.inf), kl=kl),
    )
    assert proposal.status == convex.OPTIMAL
    assert proposal.gap is not None
    assert proposal.gap <= 1e-6
    assert proposal.weights == pytest.approx(best, abs=1e-7)
    assert refine(program(one_task(SLOPES), natural, kl)) == pytest.approx(best, rel=1e-6, abs=1e-11)


@pytest.mark.parametrize("kl", [0.0, 0.05, 0.5])
@pytest.mark.parametrize("epochs", [1.0, 4.0, np.inf])
def test_shares_over_ten_decades_are_proposed_for_under_caps(kl: float, epochs: float) -> None:
    natural = TEN_DECADES / TEN_DECADES.sum()
    proposal = propose(
        many_tasks(4, 0), ProposalProblem(expansion=np.eye(4), natural=natural, caps=epochs * natural, kl=kl)
    )
    assert proposal.status == convex.OPTIMAL
    assert (proposal.weights <= epochs * natural).all()
    assert proposal.gap is not None
    assert proposal.gap <= 1e-6
    if epochs == 1:
        assert proposal.weights == pytest.approx(natural, rel=1e-6)


def test_without_the_kl_term_all_goes_to_the_best_leaf() -> None:
    weights = refine(program(one_task(SLOPES), TEN_DECADES, 0.0))
    assert weights == pytest.approx([0, 0, 0, 1], abs=1e-8)


@pytest.mark.parametrize("gamma", [0.4, (0.4, 0.5, 0.75, 1.0) * 3], ids=["one gamma", "gamma by task"])
def test_agrees_with_the_conic_solver(gamma: float | tuple[float, ...]) -> None:
    for seed in range(5):
        random = np.random.default_rng(seed)
        natural = random.dirichlet(np.ones(20)) + 1e-6
        problem = program(many_tasks(20, seed, gamma), natural, 0.05, 3 * natural / natural.sum())
        solved = next(conic.solutions(problem))
        assert refine(problem) == pytest.approx(solved, abs=1e-5)
        assert problem.value(refine(problem)) == pytest.approx(problem.value(solved), abs=1e-8)


def test_pinned_leaves_and_groups_have_an_optimum() -> None:
    """Limits that leave no room at all: a leaf at a fixed weight, and a group at its whole share."""
    surrogate = many_tasks(6, 3)
    natural = np.full(6, 1 / 6)
    lower, upper = np.array([0.2, 0, 0, 0, 0, 0]), np.array([0.2, 1, 1, 1, 1, 1])
    pair = Groups(("pair",), np.array([[0.0, 1, 1, 0, 0, 0]]), np.array([0.3]), np.array([0.3]))
    limits = feasible_set(np.eye(6), np.full(6, np.inf), lower, upper, pair)
    weights = refine(Program(surrogate, np.full(12, 1 / 12), natural, 0.05, 0.0, limits))
    assert weights[0] == pytest.approx(0.2, abs=1e-8)
    assert weights[1] + weights[2] == pytest.approx(0.3, abs=1e-8)
    assert weights.sum() == pytest.approx(1, abs=1e-12)


def test_the_conic_solver_answers_where_the_interior_point_method_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    natural = np.array([0.4, 0.3, 0.2, 0.1])
    monkeypatch.setattr(convex, "refine", lambda program: natural)
    problem = ProposalProblem(expansion=np.eye(4), natural=natural, caps=np.full(4, np.inf))
    proposal = propose(one_task(SLOPES), problem)
    assert proposal.status == convex.OPTIMAL
    assert proposal.weights == pytest.approx(tilted(natural, SLOPES, 0.05), abs=1e-5)


def test_the_best_answer_is_given_with_its_gap_where_nothing_is_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    natural = np.array([0.4, 0.3, 0.2, 0.1])
    monkeypatch.setattr(conic, "SOLVERS", ())
    monkeypatch.setattr(convex, "refine", lambda program: natural)
    problem = ProposalProblem(expansion=np.eye(4), natural=natural, caps=np.full(4, np.inf))
    proposal = propose(one_task(SLOPES), problem)
    assert proposal.status == convex.NOT_PROVED
    assert proposal.gap is not None
    best = one_task(SLOPES).objective(tilted(natural, SLOPES, 0.05)[None])[0]
    assert proposal.gap >= proposal.objective - best - 1e-9
    [note] = solver_notes(SolverRecord(status=proposal.status, gap=0.00123, residual=0.0))
    assert note == (
        "the weights are the best found, not proved to be the optimum; "
        "what a better mixture gains is at most 0.0012 BPB"
    )
    [note] = solver_notes(SolverRecord(status=proposal.status, gap=None, residual=0.0))
    assert note.endswith("gains is unknown")
    assert solver_notes(SolverRecord(status=convex.OPTIMAL, gap=0.0, residual=0.0)) == ()


def test_an_answer_outside_the_limits_is_replaced_by_one_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    natural, caps = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.5, 0.3, 0.3, 0.3])
    monkeypatch.setattr(conic, "SOLVERS", ())
    monkeypatch.setattr(convex, "refine", lambda program: np.array([0.0, 0.0, 0.0, 1.0]))
    proposal = propose(one_task(SLOPES), ProposalProblem(expansion=np.eye(4), natural=natural, caps=caps))
    assert proposal.status == convex.NOT_PROVED
    assert (proposal.weights <= caps).all()
    assert proposal.residual <= 1e-9


@pytest.mark.parametrize("count", [12, pytest.param(60, marks=pytest.mark.long)])
def test_random_problems_are_all_solved(count: int) -> None:
    """A small version of `make bench-random-proposals`, with random laws in place of fitted ones."""
    random = np.random.default_rng(0)
    for index in range(count):
        m = int(random.choice([8, 24, 64, 128]))
        surrogate = (
            many_tasks(m, index)
            if index % 2
            else surrogate_of(
                Law("log_linear"), Parameters(random.random(6), random.normal(-1, 1, 6), random.normal(0, 3, (6, m)))
            )
        )
        problem = draw(random, surrogate)
        proposal = propose(surrogate, problem)
        assert proposal.status == convex.OPTIMAL, index
        assert sound_gap(surrogate, problem, proposal) <= 1e-6, index
