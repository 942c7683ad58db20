"""Kept ratios as a choice of the expansion: on the simplex, exact, and within every leaf's cap."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import minimize

from olmix_core.errors import ProposalError
from olmix_core.planning.reuse import plan_columns
from olmix_core.proposal.expansion import expansion, released_for_caps
from olmix_core.proposal.solve import ProposalProblem, propose
from olmix_core.surrogate.fit import fit
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.test_problems import log_linear
from tests.support.properties import examples


def units(*leaves: str) -> list[dict[str, float]]:
    return [{leaf: 1.0} for leaf in leaves]


def test_the_worked_example() -> None:
    old = {"a": 0.25, "b": 0.25, "c": 0.5}
    plan = plan_columns(units("a", "b", "c", "d"), old, frozenset("d"), None)
    weights = expansion(plan.columns, "abcd") @ [0.4, 0.6]
    assert weights == pytest.approx([0.1, 0.1, 0.2, 0.6], abs=1e-15)
    assert plan.kept == ("a", "b", "c")
    assert plan.runs == 3 * (2 + 1)


def test_a_plan_is_kept_as_json() -> None:
    plan = plan_columns(units("a", "b", "c"), {"a": 0.125, "b": 0.375}, frozenset("c"), 7)
    assert plan.to_json() == {
        "columns": [{"a": 0.25, "b": 0.75}, {"c": 1.0}],
        "kept": ["a", "b"],
        "runs": 7,
        "released": [],
        "coupling": None,
        "reusable": None,
    }


def test_what_had_no_weight_has_no_ratios_to_keep() -> None:
    plan = plan_columns(units("a", "b", "c"), {"a": 0.0, "b": 0.0}, frozenset("c"), None)
    assert plan.columns == ({"a": 1.0}, {"b": 1.0}, {"c": 1.0})
    assert plan.kept == ()
    assert plan.runs == 3 * (3 + 1)


def test_shares_hold_to_a_millionth() -> None:
    pinned = [{"a": 0.5, "b": 0.5}, {"c": 1.0}]
    for off, kept in ((9e-7, ("a", "b", "c")), (-9e-7, ("a", "b", "c")), (3e-6, ("c",))):
        old = {"a": 0.2 * (0.5 + off), "b": 0.2 * (0.5 - off), "c": 0.8}
        assert plan_columns(pinned, old, frozenset(), None).kept == kept


def test_nested_updates_keep_the_leaf_ratios() -> None:
    first = plan_columns(units("a", "b", "c"), {"a": 0.5, "b": 0.5}, frozenset("c"), None)
    second_old = dict(zip("abc", expansion(first.columns, "abc") @ [0.3, 0.7], strict=True))
    second = plan_columns(units("a", "b", "c", "d"), second_old, frozenset("d"), None)
    third_old = dict(zip("abcd", expansion(second.columns, "abcd") @ [0.9, 0.1], strict=True))
    assert third_old["a"] == pytest.approx(third_old["b"], abs=1e-15)
    assert third_old["c"] / third_old["a"] == pytest.approx(0.7 / 0.15, abs=1e-12)


def test_nothing_to_choose_needs_no_runs() -> None:
    assert plan_columns(units("a", "b"), {"a": 0.4, "b": 0.6}, frozenset(), None).runs == 0
    assert plan_columns(units("a", "b"), {"a": 0.4, "b": 0.6}, frozenset(), 24).runs == 0


def test_a_pinned_unit_with_a_new_leaf_is_recomputed_whole() -> None:
    pinned = [{"a": 0.5, "b": 0.5}, {"c": 1.0}, {"d": 1.0}]
    plan = plan_columns(pinned, {"b": 0.2, "c": 0.3, "d": 0.5}, frozenset("a"), None)
    assert {"a": 0.5, "b": 0.5} in plan.columns
    assert plan.kept == ("c", "d")


def test_other_pins_than_the_old_shares_are_recomputed() -> None:
    pinned = [{"a": 0.5, "b": 0.5}, {"c": 1.0}, {"d": 1.0}]
    old = {"a": 0.1, "b": 0.3, "c": 0.3, "d": 0.3}
    plan = plan_columns(pinned, old, frozenset(), None)
    assert plan.kept == ("c", "d")
    assert plan_columns(pinned, old | {"a": 0.2, "b": 0.2}, frozenset(), None).kept == ("a", "b", "c", "d")


weights = st.lists(st.floats(0.01, 1), min_size=3, max_size=8)


@given(weights, st.data())
def test_every_expanded_mixture_keeps_the_frozen_ratios(old: list[float], data: st.DataObject) -> None:
    leaves = [f"leaf{i}" for i in range(len(old) + 2)]
    mixture = dict(zip(leaves, (np.array(old) / sum(old)).tolist(), strict=False))
    released = data.draw(st.sets(st.sampled_from(leaves[: len(old)]), max_size=len(old) - 2))
    plan = plan_columns(units(*leaves), mixture, frozenset([*leaves[len(old) :], *released]), None)
    free = np.array(data.draw(st.lists(st.floats(0.01, 1), min_size=len(plan.columns), max_size=len(plan.columns))))
    q = dict(zip(leaves, expansion(plan.columns, leaves) @ (free / free.sum()), strict=True))
    assert sum(q.values()) == pytest.approx(1, abs=1e-12)
    assert min(q.values()) >= 0
    first = plan.kept[0]
    for leaf in plan.kept:
        assert q[leaf] / q[first] == pytest.approx(mixture[leaf] / mixture[first], abs=1e-9, rel=1e-9)


@given(weights, st.lists(st.floats(0.02, 1), min_size=9, max_size=9))
def test_loosening_for_caps_ends_where_the_caps_can_be_met(old: list[float], caps: list[float]) -> None:
    leaves = [f"leaf{i}" for i in range(len(old) + 1)]
    limits = dict(zip(leaves, caps, strict=False))
    mixture = dict(zip(leaves, (np.array(old) / sum(old)).tolist(), strict=False))
    plan = plan_columns(units(*leaves), mixture, frozenset(leaves[-1:]), None)
    columns, taken = released_for_caps(plan.columns, limits)
    reachable = sum(min(limits[leaf] / share for leaf, share in column.items()) for column in columns)
    if sum(limits.values()) >= 1:
        assert reachable >= 1 - 1e-12
    matrix = expansion(columns, leaves)
    assert np.allclose(matrix.sum(axis=0), 1)
    rest = [leaf for leaf in plan.kept if leaf not in taken]
    for leaf in rest[1:]:
        row, first = matrix[leaves.index(leaf)].sum(), matrix[leaves.index(rest[0])].sum()
        assert row / first == pytest.approx(mixture[leaf] / mixture[rest[0]], rel=1e-9)


@examples(15)
@given(st.integers(0, 10_000), st.floats(0.0, 0.3), st.floats(1.2, 4.0))
def test_the_collapsed_optimum_is_the_leaf_optimum_restricted_to_the_expansion(
    seed: int, kl: float, repetition: float
) -> None:
    rng = np.random.default_rng(seed)
    evidence = log_linear(leaves=6, tasks=4, seed=seed).evidence(30, seed)
    surrogate = fit(evidence, FitSettings(family="log_linear", ridge=1e-5))
    natural = rng.dirichlet(np.full(6, 3.0))
    caps = natural * repetition
    old = dict(zip(surrogate.leaves[:4], rng.dirichlet(np.full(4, 2.0)).tolist(), strict=True))
    plan = plan_columns(units(*surrogate.leaves), old, frozenset(surrogate.leaves[4:]), None)
    columns, _ = released_for_caps(plan.columns, dict(zip(surrogate.leaves, caps, strict=True)))
    matrix = expansion(columns, surrogate.leaves)
    try:
        found = propose(surrogate, ProposalProblem(expansion=matrix, natural=natural, caps=caps, kl=kl))
    except ProposalError:
        assume(False)
        raise
    assert found.weights.sum() == pytest.approx(1, abs=1e-9)
    assert np.all(found.weights <= caps + 1e-8)

    def objective(q: np.ndarray) -> float:
        q = np.maximum(q, 1e-15)
        return float(surrogate.predict(q[None])[0].mean() + kl * np.sum(q * np.log(q / natural)))

    # The leaf problem, solved by another method: q free, with the frozen ratios as equations.
    complement = np.eye(6) - matrix @ np.linalg.pinv(matrix)
    constraints: Any = [
        {"type": "eq", "fun": lambda q: q.sum() - 1},
        {"type": "eq", "fun": lambda q: np.linalg.svd(complement)[2][: 6 - matrix.shape[1]] @ q},
    ]
    options: Any = {"ftol": 1e-12, "maxiter": 500}
    result = minimize(
        objective,
        found.weights,
        method="SLSQP",
        bounds=[(0, cap) for cap in caps],
        constraints=constraints,
        options=options,
    )
    assert objective(found.weights) <= result.fun + 1e-6


def test_revising_one_of_eight_leaves_trains_nine_proxies() -> None:
    leaves = "abcdefgh"
    plan = plan_columns(units(*leaves), dict.fromkeys(leaves[:7], 1 / 7), frozenset("h"), None)
    assert plan.runs == 3 * (1 + 2)
    assert len(plan.kept) == 7
