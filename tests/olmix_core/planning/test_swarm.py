from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.config.defaults import default_runs
from olmix_core.config.swarm import SwarmSampling
from olmix_core.errors import ProposalError
from olmix_core.mixture import natural
from olmix_core.planning.swarm import SwarmSpace, sample_mixture, sample_swarm
from olmix_core.proposal.expansion import expansion
from tests.support.properties import examples

PRIOR = natural([500, 200, 150, 100, 45, 5])


def draw(runs: int, prior: np.ndarray = PRIOR, matrix: np.ndarray | None = None, **fields: Any) -> np.ndarray:
    """A swarm; lower and upper bounds by `lower` and `upper`."""
    matrix = np.eye(prior.size) if matrix is None else matrix
    lower = np.array(fields.pop("lower", np.zeros(len(matrix))))
    upper = np.array(fields.pop("upper", np.ones(len(matrix))))
    return sample_swarm(runs, SwarmSpace(prior, matrix, lower, upper), SwarmSampling(**fields))


def test_three_runs_for_each_free_dimension_and_one() -> None:
    assert default_runs(4) == 15


priors = st.lists(st.integers(1, 1000), min_size=2, max_size=30).map(natural)


@examples(30)
@given(priors, st.integers(0, 2**32), st.sampled_from(["sparse", "dense"]))
def test_every_run_is_a_mixture_and_no_two_are_the_same(prior: np.ndarray, seed: int, sparsity: str) -> None:
    swarm = draw(8, prior, seed=seed, sparsity=sparsity)
    assert np.all(swarm >= 0)
    assert swarm.sum(axis=1) == pytest.approx(np.ones(8), abs=1e-12)
    assert len({row.tobytes() for row in swarm}) == 8


@examples(20)
@given(st.integers(1, 10), st.integers(1, 10), st.integers(0, 100))
def test_more_runs_keep_the_first(few: int, more: int, seed: int) -> None:
    # Strengths as small as these give the same extreme mixture again and again, which must not shift the others.
    fields: dict[str, Any] = {"seed": seed, "min_strength": 0.05, "max_strength": 0.2}
    larger = draw(few + more, **fields)
    assert draw(few, **fields).tolist() == larger[:few].tolist()


def test_a_mixture_depends_on_the_seed_and_its_number_alone() -> None:
    def one(seed: int, index: int) -> list[float]:
        space = SwarmSpace(PRIOR, np.eye(6), np.zeros(6), np.ones(6))
        return sample_mixture(index, space, SwarmSampling(seed=seed)).tolist()

    assert one(3, 7) == one(3, 7)
    assert one(3, 7) != one(3, 8)
    assert one(3, 7) != one(4, 7)
    # Seeds that are neighbours give swarms that share nothing.
    swarms = [{row.tobytes() for row in draw(10, seed=seed)} for seed in (3, 4)]
    assert swarms[0].isdisjoint(swarms[1])


def test_sparse_mixtures_have_zeros_and_nothing_small() -> None:
    swarm = draw(200, sparsity="sparse", minimum_weight=0.05)
    assert np.mean(swarm == 0) > 0.2
    assert swarm[swarm > 0].min() >= 0.05


def test_dense_mixtures_have_the_minimum_of_everything() -> None:
    swarm = draw(200, sparsity="dense", minimum_weight=0.05)
    assert swarm.min() >= 0.05 - 1e-12
    assert swarm.min() < 0.06


def test_without_a_minimum_sparse_and_dense_are_the_same() -> None:
    both = [draw(20, sparsity=kind, minimum_weight=0.0).tolist() for kind in ("sparse", "dense")]
    assert both[0] == both[1]


@pytest.mark.parametrize("sparsity", ["sparse", "dense"])
def test_the_mean_of_many_is_near_natural(sparsity: str) -> None:
    swarm = draw(1500, sparsity=sparsity)
    spread = swarm.std(axis=0) / np.sqrt(1500)
    assert np.all(np.abs(swarm.mean(axis=0) - PRIOR) < 4 * spread + 0.01)


def test_strength_says_how_far_from_natural() -> None:
    near, far = (draw(200, min_strength=s, max_strength=s).std(axis=0).sum() for s in (100.0, 1.0))
    assert near < far / 3
    # Of a Dirichlet distribution: Var = p (1 - p) / (s + 1).
    swarm = draw(1500, min_strength=20, max_strength=20, minimum_weight=0)
    assert swarm.var(axis=0)[:4] == pytest.approx((PRIOR * (1 - PRIOR) / 21)[:4], rel=0.2)


def test_pinned_shares_hold_in_every_mixture() -> None:
    leaves = ["a", "b", "c", "d"]
    matrix = expansion([{"a": 0.7, "c": 0.3}, {"b": 1.0}, {"d": 1.0}], leaves)
    swarm = draw(50, natural([5, 3, 2]), matrix)
    assert swarm[:, 2] * 7 == pytest.approx(swarm[:, 0] * 3, abs=1e-10)
    assert swarm.sum(axis=1) == pytest.approx(np.ones(50), abs=1e-12)
    assert (swarm[:, 0] > 0).any()


@examples(20)
@given(st.integers(0, 1000))
def test_bounds_hold(seed: int) -> None:
    lower, upper = [0.3, 0, 0.05, 0, 0, 0], [0.8, 0.5, 1, 1, 0.0, 0.2]
    swarm = draw(10, seed=seed, lower=lower, upper=upper)
    assert np.all(swarm >= lower)
    assert np.all(swarm <= upper)


def test_bounds_that_nothing_meets_are_an_error() -> None:
    with pytest.raises(ProposalError, match=r"swarm\.bounds: none of 64000 mixtures lies within them; expected wider"):
        draw(2, lower=[0.6, 0.6, 0, 0, 0, 0])


def test_a_minimum_that_leaves_no_room_is_an_error() -> None:
    with pytest.raises(
        ProposalError, match=r"minimum_weight: found 0\.2 for 6 free dimensions; expected at most 0\.16"
    ):
        draw(2, sparsity="dense", minimum_weight=0.2)


def test_leaves_of_tiny_natural_weight_are_explored() -> None:
    swarm = draw(12, natural([1e13, 2e5, 1e4, 300]))
    assert len(np.unique(swarm, axis=0)) == 12
    assert np.all(np.count_nonzero(swarm, axis=0) >= 2)


def test_runs_that_cannot_differ_are_an_error() -> None:
    with pytest.raises(ProposalError, match=r"swarm\.runs: found only 1 different mixtures; expected 2"):
        draw(2, natural([1]))
    with pytest.raises(ProposalError, match="found only 3 different mixtures; expected 4"):
        draw(4, natural([1, 1, 1]), minimum_weight=0.6)
