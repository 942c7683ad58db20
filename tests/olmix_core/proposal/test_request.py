"""What is asked in leaves is answered in leaves, whatever content the law speaks of."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from olmix_core.errors import ProposalError
from olmix_core.proposal.request import Bound, ProposalRequest, propose_for_leaves
from olmix_core.proposal.tradeoffs import Point, trade_offs
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.fit import fit
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.test_problems import diminishing_returns

LEAVES = tuple(f"leaf{j:03d}" for j in range(5))


@pytest.fixture(scope="module")
def model() -> Surrogate:
    return fit(
        diminishing_returns(5, 3).with_noise(0.003).evidence(40, seed=0),
        FitSettings(family="diminishing_returns", gamma=0.6),
    )


@pytest.fixture
def wish(model: Surrogate) -> ProposalRequest:
    tokens = dict(zip(LEAVES, (400_000, 300_000, 200_000, 80_000, 20_000), strict=True))
    return ProposalRequest(
        columns=[{leaf: 1.0} for leaf in LEAVES],
        splits={},
        natural={leaf: count / 1_000_000 for leaf, count in tokens.items()},
        tokens=tokens,
        target_tokens=1_000_000,
        repetition=4,
        kl=0.02,
        task_weights=dict.fromkeys(model.tasks, 1.0),
        sequence_length=512,
    )


def test_realised_epochs_obey_the_caps(model: Surrogate, wish: ProposalRequest) -> None:
    answer = propose_for_leaves(model, replace(wish, repetition=1.5))
    assert answer.at_cap.any()
    tokens = np.array([wish.tokens[leaf] for leaf in wish.leaves])
    assert (answer.sequences * 512 <= 1.5 * tokens).all()
    assert (answer.weights <= answer.caps).all()


def test_bounds_on_leaves_nodes_and_groups(model: Surrogate, wish: ProposalRequest) -> None:
    free = propose_for_leaves(model, wish).weights
    bounds = [Bound(LEAVES[:1], 0.0, 0.5 * free[0]), Bound(LEAVES[1:3], free[1:3].sum() + 0.1, 1.0)]
    bound = propose_for_leaves(model, replace(wish, bounds=bounds))
    assert bound.weights[0] <= 0.5 * free[0] + 1e-12
    assert bound.weights[1:3].sum() == pytest.approx(free[1:3].sum() + 0.1, abs=1e-6)
    assert bound.proposal.gap is not None
    assert bound.proposal.gap < 1e-6
    with pytest.raises(ProposalError, match="the web"):
        propose_for_leaves(model, replace(wish, bounds=[Bound(LEAVES[:2], 0.9, 0.4)]), bound_names=["the web"])


def test_a_bound_on_a_merged_leaf_is_on_its_parts_together(model: Surrogate, wish: ProposalRequest) -> None:
    """The law knows leaf000 and leaf001; today they are one leaf."""
    whole = "merged"
    splits = {whole: {"leaf000": 4 / 7, "leaf001": 3 / 7}}
    tokens = {whole: 700_000, **{leaf: wish.tokens[leaf] for leaf in LEAVES[2:]}}
    merged = replace(
        wish,
        columns=[{leaf: 1.0} for leaf in tokens],
        splits=splits,
        natural={leaf: count / 1_000_000 for leaf, count in tokens.items()},
        tokens=tokens,
        repetition=20,
        bounds=[Bound((whole,), 0.0, 0.2), Bound((whole, "leaf002"), 0.0, 0.5)],
    )
    answer = propose_for_leaves(model, merged)
    weights = dict(zip(merged.leaves, answer.weights, strict=True))
    assert weights[whole] <= 0.2 + 1e-9
    assert weights[whole] + weights["leaf002"] <= 0.5 + 1e-8
    assert sum(weights.values()) == pytest.approx(1, abs=1e-9)


def test_a_reference_pulls_and_pessimism_makes_sure(model: Surrogate, wish: ProposalRequest) -> None:
    reference = dict(zip(LEAVES, (0.1, 0.1, 0.1, 0.6, 0.1), strict=True))
    near = propose_for_leaves(model, replace(wish, kl=50.0, reference=reference, repetition=100))
    assert near.weights == pytest.approx([0.1, 0.1, 0.1, 0.6, 0.1], abs=1e-2)
    bold, careful = propose_for_leaves(model, wish), propose_for_leaves(model, replace(wish, pessimism=4.0))
    assert model.objective_std(careful.weights) <= model.objective_std(bold.weights)
    assert careful.proposal.gap is None


def test_trade_offs_go_the_way_that_limits_go(model: Surrogate, wish: ProposalRequest) -> None:
    natural = wish.in_atoms(wish.natural, model)

    def ask(changed: Mapping[str, Any]) -> Point:
        answer = propose_for_leaves(model, replace(wish, **changed))
        return Point(answer.proposal.weights, int(answer.at_cap.sum()), answer.proposal.status)

    asked = {"kl": wish.kl, "repetition": wish.repetition, "target_tokens": wish.target_tokens}
    table = trade_offs(model, ask, asked, natural, None)
    curves = dict(list(table.groupby("parameter")))
    assert (np.diff(curves["kl"]["gain"]) <= 1e-7).all()  # a stronger pull gains less
    assert (np.diff(curves["kl"]["divergence"]) <= 1e-6).all()
    solved = curves["repetition"].dropna(subset=["bpb"])
    assert (np.diff(solved["bpb"]) <= 1e-3).all()  # KL included it falls; BPB alone nearly does
    longest = curves["target_tokens"].iloc[-1]  # four times the data with four epochs: only natural is left
    assert longest["divergence"] == pytest.approx(0, abs=1e-6)
    assert (table["gain_low"].dropna() <= table["gain"].dropna()).all()
    assert table["asked"].sum() == 3
    tight = trade_offs(model, ask, {"repetition": 0.5}, natural, None)
    assert "no mixture is possible" in tight.iloc[0]["status"]
    assert np.isnan(tight.iloc[0]["bpb"])


def test_a_request_has_the_keys_of_the_payload(wish: ProposalRequest) -> None:
    request = replace(wish, bounds=(Bound(LEAVES[:2], 0.1, 0.4),), target_tokens=None)
    data = request.to_json()
    settings = {"kl", "target_tokens", "repetition", "pessimism", "sequence_length"}
    names = {"columns", "splits", "natural", "tokens", "bounds", "reference", "task_weights"}
    assert data.keys() == settings | names
    assert ProposalRequest.from_json(json.loads(json.dumps(data))) == request
    assert request.run_tokens == 1_000_000
    reusable = replace(request, reusable=[dict.fromkeys(LEAVES, 0.2)])
    assert reusable.to_json().keys() - data.keys() == {"reusable"}


def test_given_caps_replace_those_of_tokens(model: Surrogate, wish: ProposalRequest) -> None:
    unlimited = replace(wish, leaf_caps=dict.fromkeys(LEAVES, np.inf), repetition=1e-9)
    assert propose_for_leaves(model, unlimited).weights.sum() == pytest.approx(1)
    capped = replace(unlimited, leaf_caps=dict.fromkeys(LEAVES, 0.3))
    assert (propose_for_leaves(model, capped).weights <= 0.3).all()
