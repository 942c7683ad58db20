"""Whole sequences keep every limit, fill the run, and stay next to the weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.errors import ProposalError
from olmix_core.proposal.constraints import Groups, feasible_set
from olmix_core.proposal.rounding import round_to_sequences
from tests.support.properties import examples


@given(st.integers(0, 2**31))
@examples(60)
def test_caps_and_bounds_hold_after_rounding(seed: int) -> None:
    random = np.random.default_rng(seed)
    m, length = int(random.integers(2, 40)), int(random.choice([1, 512, 4096]))
    target = float(random.uniform(200 * m, 1e9)) * length
    weights = random.dirichlet(np.full(m, 0.5))
    weights[weights < 1e-3] = 0.0
    weights /= weights.sum()
    # Half of the leaves exactly at their cap, some exactly at a lower bound, as a solver leaves them.
    caps = np.where(random.random(m) < 0.5, weights, np.inf)
    lower = np.where((random.random(m) < 0.2) & np.isinf(caps), 0.999 * weights, 0.0)
    group = (random.random((1, m)) < 0.4).astype(float)
    share = float((group @ weights)[0])
    groups = Groups(("some",), group, np.zeros(1), np.array([share if np.isinf(caps).any() else 1.0]))
    free = np.isinf(caps) & (group[0] == 0)
    sequences = round_to_sequences(weights, target, length, feasible_set(np.eye(m), caps, lower, None, groups))
    total = int(target // length)
    assert sequences.sum() <= total
    assert sequences.sum() >= total - m  # what caps round off may have nowhere to go
    if free.any():
        assert sequences.sum() == total
    tokens = sequences * length
    assert (tokens <= np.where(np.isinf(caps), np.inf, caps * target * (1 + 1e-9))).all()
    assert (sequences >= np.floor(lower * total)).all()
    assert group @ sequences <= share * total + 1 + 1e-6 * total
    assert np.abs(sequences - weights * total).max() <= m + 1


def test_exact_shares_stay_exact() -> None:
    limits = feasible_set(np.eye(3), np.full(3, np.inf), None, None)
    assert round_to_sequences(np.array([0.5, 0.25, 0.25]), 8 * 512, 512, limits).tolist() == [4, 2, 2]


def test_the_largest_remainder_gets_the_sequence() -> None:
    limits = feasible_set(np.eye(3), np.full(3, np.inf), None, None)
    assert round_to_sequences(np.array([0.58, 0.27, 0.15]), 10.0, 1, limits).tolist() == [6, 3, 1]
    capped = feasible_set(np.eye(3), np.array([0.58, 1, 1]), None, None)
    assert round_to_sequences(np.array([0.58, 0.27, 0.15]), 10.0, 1, capped).tolist() == [5, 3, 2]


def test_a_run_that_is_too_short_is_refused() -> None:
    limits = feasible_set(np.eye(2), np.full(2, np.inf), None, None)
    with pytest.raises(ProposalError, match="at least one sequence of 4096"):
        round_to_sequences(np.array([0.5, 0.5]), 100.0, 4096, limits)
    narrow = feasible_set(np.eye(2), np.array([0.5, 1.0]), np.array([0.45, 0.0]), None)
    with pytest.raises(ProposalError, match="3 sequences of 10 tokens is too short"):
        round_to_sequences(np.array([0.48, 0.52]), 30.0, 10, narrow)
