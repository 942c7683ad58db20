"""Proposals reach the optimum, keep every constraint, and are refused with the reason where none exists."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, minimize

from olmix_core.errors import ProposalError
from olmix_core.proposal.constraints import Groups
from olmix_core.proposal.solve import Proposal, ProposalProblem, propose
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import fit
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.regression.laws import Law, Parameters
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.test_problems import Problem, diminishing_returns, log_linear
from tests.support.properties import examples
from tests.support.true_surrogate import surrogate_of


def known(problem: Problem) -> LawSurrogate:
    return surrogate_of(problem.law, problem.parameters)


def free(problem: Problem, **settings_: Any) -> Proposal:
    """The proposal over all leaves, without caps unless given."""
    m = len(problem.leaves)
    defaults: dict[str, Any] = {
        "expansion": np.eye(m),
        "natural": problem.natural,
        "caps": np.full(m, np.inf),
        "kl": problem.kl,
    }
    return propose(known(problem), ProposalProblem(**{**defaults, **settings_}))


def test_a_law_that_explodes_has_a_proposal_with_a_certificate_and_bounded_predictions() -> None:
    random = np.random.default_rng(0)
    rare = np.linspace(0, 0.05, 16)
    X = np.column_stack([random.dirichlet(np.ones(2), 16) * (1 - rare)[:, None], rare])
    Y = np.column_stack([1 + np.exp(60 * rare - 1), 1.2 - 0.3 * X[:, 0]])
    surrogate = fit(SwarmData(X, Y, tuple(f"r{k:02d}" for k in range(16)), ("a", "b", "c"), ("steep", "calm")))
    law = surrogate.fitted_law
    assert law is not None
    bounds = Y.min(axis=0) - np.ptp(Y, axis=0) - 1e-6, Y.max(axis=0) + np.ptp(Y, axis=0) + 1e-6
    for upper in (1.0, 0.2):
        problem = ProposalProblem(
            expansion=np.eye(3), natural=np.full(3, 1 / 3), caps=np.array([upper, upper, 1.0]), kl=0.05
        )
        proposal = propose(surrogate, problem)
        assert proposal.gap is not None
        assert proposal.gap <= 1e-6 * max(1.0, law.unbounded.objective(proposal.weights[None])[0])
        assert (proposal.predicted >= bounds[0]).all()
        assert (proposal.predicted <= bounds[1]).all()
    assert law.beyond(proposal.weights[None])[0, 0]


PROBLEMS = [
    log_linear(8, 6),
    log_linear(30, 10, harmful=5, seed=1),
    diminishing_returns(8, 6),
    diminishing_returns(30, 10, gamma=0.4, seed=1),
    diminishing_returns(8, 6, gamma=1.0),
]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_known_optimum_is_found(problem: Problem) -> None:
    proposal = free(problem)
    reached = problem.objective(proposal.weights[None])[0]
    assert reached == pytest.approx(problem.objective(problem.optimum[None])[0], abs=1e-8)
    assert proposal.weights == pytest.approx(problem.optimum, abs=1e-4)
    assert proposal.gap is not None
    assert proposal.gap < 1e-6
    assert proposal.status == "optimal"
    assert proposal.objective == pytest.approx(problem.bpb(proposal.weights[None]).mean(), abs=1e-12)


@pytest.mark.parametrize("problem", PROBLEMS[:4])
def test_agrees_with_an_independent_solver_under_caps_and_bounds(problem: Problem) -> None:
    m = len(problem.leaves)
    random = np.random.default_rng(0)
    caps = np.where(random.random(m) < 0.5, 0.7 * problem.optimum, np.inf)
    lower = np.where(random.random(m) < 0.2, 0.5 * problem.optimum, 0.0)
    proposal = free(problem, caps=caps, lower=lower)

    def objective(q: np.ndarray) -> float:
        return float(problem.objective(np.maximum(q, 1e-300)[None])[0])

    best = min(
        minimize(
            objective,
            start,
            method="SLSQP",
            bounds=list(zip(np.maximum(lower, 1e-12), np.minimum(caps, 1.0), strict=True)),
            constraints=[LinearConstraint(np.ones((1, m)), 1, 1)],
            options={"maxiter": 2000, "ftol": 1e-14},
        ).fun
        for start in (proposal.weights, np.full(m, 1 / m))
    )
    assert objective(proposal.weights) <= best + 1e-6
    assert np.array_equal(proposal.at_cap, proposal.shadow_prices > 1e-6)


@st.composite
def cases(draw: st.DrawFn) -> tuple[LawSurrogate, dict[str, Any]]:
    """A random law with a feasible set of caps, bounds and frozen ratios."""
    random = np.random.default_rng(draw(st.integers(0, 2**31)))
    m, tasks = draw(st.integers(2, 12)), draw(st.integers(1, 5))
    gamma = draw(st.sampled_from([None, 0.3, 0.6, 1.0]))
    law = Law("log_linear") if gamma is None else Law("diminishing_returns", gamma)
    v = random.normal(0, 2, (tasks, m))
    parameters = Parameters(random.random(tasks), random.normal(0, 1, tasks), v if gamma is None else np.abs(v))
    if draw(st.booleans()):
        expansion = np.eye(m)
    else:
        frozen = draw(st.integers(1, m))
        columns = np.eye(m)[:, frozen:]
        together = np.concatenate([random.dirichlet(np.ones(frozen)), np.zeros(m - frozen)])
        expansion = np.column_stack([together, columns])
    inside = expansion @ random.dirichlet(np.ones(expansion.shape[1]))
    caps = np.where(random.random(m) < 0.6, inside * random.uniform(1.001, 3, m), np.inf)
    lower = np.where(random.random(m) < 0.3, inside * random.uniform(0, 0.999, m), 0.0)
    upper = np.where(random.random(m) < 0.3, inside * random.uniform(1.001, 5, m), np.inf)
    natural = random.dirichlet(np.full(m, 0.5)) + 1e-7
    kl = draw(st.sampled_from([0.0, 0.01, 0.05, 1.0]))
    # Two leaves and a random set of them together, around what is inside.
    members = np.zeros((2, m))
    members[0, :2] = 1
    members[1] = random.random(m) < 0.5
    held = members @ inside
    groups = Groups(("pair", "some"), members, held * random.uniform(0, 0.999, 2), held * random.uniform(1.001, 2, 2))
    settings_ = {
        "groups": draw(st.sampled_from([None, groups])),
        "expansion": expansion,
        "natural": natural / natural.sum(),
        "caps": caps,
        "lower": lower,
        "upper": upper,
        "kl": kl,
        "task_weights": random.random(tasks) + 0.01,
    }
    return surrogate_of(law, parameters), {**settings_, "inside": inside}


@given(cases())
@examples(60)
def test_constraints_hold_and_no_feasible_point_is_better(case: tuple[LawSurrogate, dict[str, Any]]) -> None:
    surrogate, given_ = case
    inside = given_.pop("inside")
    proposal = propose(surrogate, ProposalProblem(**given_))
    q = proposal.weights
    assert abs(q.sum() - 1) <= 1e-12
    assert (q >= 0).all()
    assert (q <= given_["caps"]).all()
    assert (q <= given_["upper"]).all()
    assert (q >= given_["lower"]).all()
    assert q == pytest.approx(given_["expansion"] @ proposal.free, abs=1e-8)
    assert proposal.residual <= 1e-8
    groups = given_["groups"]
    if groups is not None:
        assert (groups.members @ q <= groups.upper + 1e-8).all()
        assert (groups.members @ q >= groups.lower - 1e-8).all()
    assert (proposal.shadow_prices >= 0).all()

    def value(Q: np.ndarray) -> np.ndarray:
        ratio = np.where(Q > 0, Q, 1.0) / given_["natural"]
        divergence = np.sum(Q * np.log(ratio), axis=1)
        return surrogate.objective(Q, given_["task_weights"]) + given_["kl"] * divergence

    random = np.random.default_rng(0)
    E, caps = given_["expansion"], np.minimum(given_["caps"], given_["upper"])
    others = random.dirichlet(np.ones(E.shape[1]), 200) @ E.T
    best = value(q[None])[0]
    # from the optimum and from a known inside point, towards anywhere, as far as is feasible
    for origin in (q, inside):
        for share in (1e-3, 0.1, 1.0):
            Q = (1 - share) * origin + share * others
            feasible = ((caps >= Q) & (given_["lower"] <= Q)).all(axis=1)
            if groups is not None:
                together = Q @ groups.members.T
                feasible &= ((groups.lower <= together) & (together <= groups.upper)).all(axis=1)
            assert (value(Q[feasible]) >= best - 1e-6).all()
    assert value(inside[None])[0] >= best - 1e-6


@given(st.integers(0, 2**31))
@examples(15)
def test_order_of_leaves_and_tasks_changes_nothing(seed: int) -> None:
    random = np.random.default_rng(seed)
    problem = diminishing_returns(10, 5, seed=seed % 11)
    leaves, tasks = random.permutation(10), random.permutation(5)
    p = problem.parameters
    shuffled = surrogate_of(problem.law, Parameters(p.c[tasks], p.b[tasks], p.v[np.ix_(tasks, leaves)]))
    caps = problem.optimum * random.uniform(0.5, 3, 10)
    assume(caps.sum() > 1.01)
    one = free(problem, caps=caps)
    other = propose(
        shuffled,
        ProposalProblem(expansion=np.eye(10), natural=problem.natural[leaves], caps=caps[leaves], kl=problem.kl),
    )
    assert other.weights == pytest.approx(one.weights[leaves], abs=1e-5)
    assert other.shadow_prices == pytest.approx(one.shadow_prices[leaves], abs=1e-4)


@pytest.mark.parametrize("problem", PROBLEMS[:4])
def test_shadow_prices_are_the_gain_of_a_raised_cap(problem: Problem) -> None:
    caps = np.full(len(problem.leaves), np.inf)
    caps[:3] = 0.5 * problem.optimum[:3]
    proposal = free(problem, caps=caps)
    assert proposal.at_cap[:3].all()
    for j in range(3):
        values = []
        for change in (-1e-4, 1e-4):
            moved = caps.copy()
            moved[j] += change * caps[j]
            values.append(problem.objective(free(problem, caps=moved).weights[None])[0])
        assert proposal.shadow_prices[j] == pytest.approx((values[0] - values[1]) / (2e-4 * caps[j]), rel=1e-2)


def test_virtual_domain_is_capped_by_its_smallest_leaf() -> None:
    problem = log_linear(4, 3)
    expansion = np.array([[0.5, 0, 0], [0.5, 0, 0], [0, 1, 0], [0, 0, 1]])
    proposal = free(problem, expansion=expansion, caps=np.array([0.05, np.inf, np.inf, np.inf]))
    assert proposal.weights[0] <= 0.05
    assert proposal.free[0] <= 0.1 + 1e-9


def test_leaf_without_natural_weight_gets_none() -> None:
    problem = log_linear(4, 3)
    natural = np.array([0.0, 0.3, 0.3, 0.4])
    assert free(problem, natural=natural).weights[0] == 0.0
    with pytest.raises(ProposalError, match="leaf000 has a lower bound but weight 0"):
        free(problem, natural=natural, lower=np.array([0.1, 0, 0, 0]))
    assert free(problem, natural=natural, kl=0.0).weights.sum() == pytest.approx(1)


def test_the_natural_mixture_may_be_given_in_tokens() -> None:
    problem = log_linear(6, 4)
    shares, tokens = free(problem), free(problem, natural=problem.natural * 3e9)
    assert tokens.weights == pytest.approx(shares.weights, abs=1e-7)


def test_a_proposal_has_its_prediction() -> None:
    problem = log_linear(6, 4)
    weights = np.array([3.0, 1.0, 0.0, 0.0])
    proposal = free(problem, task_weights=weights)
    assert proposal.predicted == pytest.approx(problem.bpb(proposal.weights[None])[0], abs=1e-12)
    assert proposal.objective == pytest.approx(proposal.predicted @ weights / 4, abs=1e-12)


def test_only_leaves_held_by_caps_have_prices() -> None:
    """A bound of the user's is no lack of data; nor is a leaf without a token at its cap."""
    problem = log_linear(6, 4)
    best = int(np.argmax(problem.optimum))
    bounded = np.where(np.arange(6) == best, 0.5 * problem.optimum[best], np.inf)
    natural = problem.natural.copy()
    empty = (best + 1) % 6
    natural[empty] = 0.0
    caps = np.where(natural > 0, 0.9, 0.0)
    proposal = free(problem, natural=natural, caps=caps, upper=bounded)
    assert proposal.weights[best] == pytest.approx(bounded[best], abs=1e-9)
    assert proposal.weights[empty] == 0
    assert not proposal.at_cap.any()
    assert not proposal.shadow_prices[[best]].any()
    assert free(problem, caps=bounded).shadow_prices[best] > 1e-3
    assert free(problem, caps=bounded).at_cap.tolist() == [j == best for j in range(6)]


def test_tiny_references_are_solved_exactly() -> None:
    problem = log_linear(30, 10, harmful=5, seed=1)
    assert problem.natural.min() < 1e-12
    assert free(problem).weights == pytest.approx(problem.optimum, rel=1e-6)


def test_another_reference_attracts() -> None:
    problem = log_linear(6, 4)
    reference = np.array([0.5, 0.1, 0.1, 0.1, 0.1, 0.1])
    proposal = free(problem, kl=100.0, reference=reference)
    assert proposal.weights == pytest.approx(reference, abs=1e-2)


def test_exactly_filled_caps_leave_one_mixture() -> None:
    problem = log_linear(4, 3)
    caps = np.array([0.1, 0.2, 0.3, 0.4])
    proposal = free(problem, caps=caps)
    assert proposal.weights == pytest.approx(caps, abs=1e-9)
    assert (proposal.weights <= caps).all()


def test_pessimism_trades_gain_for_certainty() -> None:
    problem = diminishing_returns(8, 6).with_noise(0.05)
    surrogate = fit(problem.evidence(30, seed=0), FitSettings(family="diminishing_returns", gamma=0.6))
    settings_: dict[str, Any] = {"expansion": np.eye(8), "natural": problem.natural, "caps": np.full(8, 0.6)}
    bold, careful = (
        propose(surrogate, ProposalProblem(**settings_)),
        propose(surrogate, ProposalProblem(**settings_, pessimism=3.0)),
    )
    assert surrogate.objective_std(careful.weights) < surrogate.objective_std(bold.weights)
    assert careful.objective >= bold.objective - 1e-9
    assert "local optimum" in careful.status
    assert careful.gap is None
    assert bold.gap is not None
    assert (careful.weights <= 0.6).all()
    assert careful.weights.sum() == pytest.approx(1, abs=1e-12)


# Errors


def test_invalid_problems_are_refused() -> None:
    problem = log_linear(4, 3)
    with pytest.raises(ProposalError, match="kl"):
        free(problem, kl=-1.0)
    with pytest.raises(ProposalError, match="natural"):
        free(problem, natural=np.zeros(4))
    with pytest.raises(ProposalError, match="not all 0"):
        free(problem, natural=np.array([0.5, 0.5, 0.5, -0.5]))
    with pytest.raises(ProposalError, match="must be 4 numbers"):
        free(problem, natural=np.ones(5))
    with pytest.raises(ProposalError, match="must be 4 numbers"):
        free(problem, natural=np.array([1.0, 1.0, 1.0, np.inf]))
    for expansion in (np.eye(3), np.ones(4) / 4):
        with pytest.raises(ProposalError, match="expected 4 rows, one per leaf"):
            free(problem, expansion=expansion)


def test_contradictions_are_refused_before_solving() -> None:
    problem = log_linear(4, 3)
    half = np.full(4, 0.5)
    with pytest.raises(ProposalError, match=r"no mixture is possible: the lower bounds sum to 2"):
        free(problem, lower=half)
    with pytest.raises(ProposalError, match=r"no mixture is possible: caps and upper bounds .* 0\.8 at most"):
        free(problem, upper=np.full(4, 0.2))
    group = Groups(("text",), np.ones((1, 4)), np.zeros(1), half[:1])
    with pytest.raises(ProposalError, match=r"no mixture is possible: .*text \(0\.5\)"):
        free(problem, groups=group)
    natural, lower = np.array([0.0, 0.5, 0.5, 1.0]), np.array([0.1, 0, 0, 0])
    with pytest.raises(ProposalError, match=r"give it a share there, drop the bound or set kl to 0"):
        free(problem, natural=natural, lower=lower)
    assert free(problem, natural=natural, lower=0 * lower).weights[0] == 0
    assert free(problem, natural=natural, lower=lower, kl=0.0).weights[0] >= 0.1
