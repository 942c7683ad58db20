"""Requests over leaves are answered over leaves, whatever contents the surrogate has as columns."""

from dataclasses import replace

import numpy as np
import pytest

from olmix_core.errors import ProposalError
from olmix_core.proposal.leaf_proposal import propose_for_leaves
from olmix_core.proposal.request import Bound, ProposalRequest
from olmix_core.surrogate.base import Surrogate

LEAVES = tuple(f"leaf{j:03d}" for j in range(5))


def test_whole_sequences_keep_the_caps(surrogate: Surrogate, request_: ProposalRequest) -> None:
    answer = propose_for_leaves(surrogate, replace(request_, repetition=1.5))
    assert answer.at_cap.any()
    tokens = np.array([request_.tokens[leaf] for leaf in request_.leaves])
    assert (answer.sequences * 512 <= 1.5 * tokens).all()
    assert (answer.weights <= answer.caps).all()


def test_bounds_on_leaves_nodes_and_groups(surrogate: Surrogate, request_: ProposalRequest) -> None:
    free = propose_for_leaves(surrogate, request_).weights
    bounds = [Bound(LEAVES[:1], 0.0, 0.5 * free[0]), Bound(LEAVES[1:3], free[1:3].sum() + 0.1, 1.0)]
    bound = propose_for_leaves(surrogate, replace(request_, bounds=bounds))
    assert bound.weights[0] <= 0.5 * free[0] + 1e-12
    assert bound.weights[1:3].sum() == pytest.approx(free[1:3].sum() + 0.1, abs=1e-6)
    assert bound.proposal.gap is not None
    assert bound.proposal.gap < 1e-6
    with pytest.raises(ProposalError, match="the web"):
        propose_for_leaves(surrogate, replace(request_, bounds=[Bound(LEAVES[:2], 0.9, 0.4)]), bound_names=["the web"])


def test_a_bound_on_a_merged_leaf_limits_its_parts_together(surrogate: Surrogate, request_: ProposalRequest) -> None:
    """The law knows leaf000 and leaf001; today they are one leaf."""
    whole = "merged"
    splits = {whole: {"leaf000": 4 / 7, "leaf001": 3 / 7}}
    tokens = {whole: 700_000, **{leaf: request_.tokens[leaf] for leaf in LEAVES[2:]}}
    merged = replace(
        request_,
        columns=[{leaf: 1.0} for leaf in tokens],
        splits=splits,
        natural={leaf: count / 1_000_000 for leaf, count in tokens.items()},
        tokens=tokens,
        repetition=20,
        bounds=[Bound((whole,), 0.0, 0.2), Bound((whole, "leaf002"), 0.0, 0.5)],
    )
    answer = propose_for_leaves(surrogate, merged)
    weights = dict(zip(merged.leaves, answer.weights, strict=True))
    assert weights[whole] <= 0.2 + 1e-9
    assert weights[whole] + weights["leaf002"] <= 0.5 + 1e-8
    assert sum(weights.values()) == pytest.approx(1, abs=1e-9)


def test_reference_attracts_and_pessimism_lowers_the_error(surrogate: Surrogate, request_: ProposalRequest) -> None:
    reference = dict(zip(LEAVES, (0.1, 0.1, 0.1, 0.6, 0.1), strict=True))
    near = propose_for_leaves(surrogate, replace(request_, kl=50.0, reference=reference, repetition=100))
    assert near.weights == pytest.approx([0.1, 0.1, 0.1, 0.6, 0.1], abs=1e-2)
    bold, careful = (
        propose_for_leaves(surrogate, request_),
        propose_for_leaves(surrogate, replace(request_, pessimism=4.0)),
    )
    assert surrogate.objective_std(careful.weights) <= surrogate.objective_std(bold.weights)
    assert careful.proposal.gap is None


def test_given_caps_replace_those_of_tokens(surrogate: Surrogate, request_: ProposalRequest) -> None:
    unlimited = replace(request_, leaf_caps=dict.fromkeys(LEAVES, np.inf), repetition=1e-9)
    assert propose_for_leaves(surrogate, unlimited).weights.sum() == pytest.approx(1)
    capped = replace(unlimited, leaf_caps=dict.fromkeys(LEAVES, 0.3))
    assert (propose_for_leaves(surrogate, capped).weights <= 0.3).all()
