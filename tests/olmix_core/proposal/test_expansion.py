"""The expansion matrix, and leaves that are freed from it so that the caps can be met."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.mixture import natural
from olmix_core.proposal.expansion import expansion, released_for_caps


def test_rows_are_in_the_order_of_the_leaves() -> None:
    matrix = expansion([{"b": 1.0}, {"c": 0.25, "a": 0.75}], ["a", "b", "c"])
    assert matrix.tolist() == [[0, 0.75], [1, 0], [0, 0.25]]


@given(st.lists(st.lists(st.floats(0.01, 10), min_size=1, max_size=5), min_size=1, max_size=6), st.data())
def test_an_expanded_mixture_is_a_mixture(columns: list[list[float]], data: st.DataObject) -> None:
    units = [{f"{i}.{j}": share for j, share in enumerate(column)} for i, column in enumerate(columns)]
    leaves = [leaf for unit in units for leaf in unit]
    matrix = expansion(units, data.draw(st.permutations(leaves)))
    assert matrix.sum(axis=0) == pytest.approx(np.ones(len(units)))
    r = natural(data.draw(st.lists(st.integers(1, 100), min_size=len(units), max_size=len(units))))
    assert (matrix @ r).sum() == pytest.approx(1.0)
    assert expansion([{leaf: 1.0} for leaf in leaves], leaves).tolist() == np.eye(len(leaves)).tolist()


def test_a_column_with_an_unknown_leaf_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown leaf 'x'"):
        expansion([{"x": 1.0}], ["a"])


def test_the_leaf_that_caps_a_column_first_is_released_first() -> None:
    caps = {"a": 0.02, "b": 0.1, "c": 1.0, "d": 0.3, "z": 0.0}
    columns, taken = released_for_caps([{"a": 0.2, "b": 0.2, "c": 0.6, "z": 0.0}, {"d": 1.0}], caps)
    # At a's cap a, b and c have 0.02 / 0.2 = 0.1 together; without a, at b's, 0.1 / 0.25 = 0.4: with d's 0.3 and a's
    # 0.02 still not 1.
    assert taken == ["a", "b"]
    assert columns == [{"c": 1.0, "z": 0.0}, {"d": 1.0}, {"a": 1.0}, {"b": 1.0}]


def test_the_column_that_can_have_least_is_loosened_first() -> None:
    wide, narrow = {"a": 0.5, "b": 0.5}, {"c": 0.5, "d": 0.5}
    columns, taken = released_for_caps([wide, narrow], {"a": 0.3, "b": 0.3, "c": 0.1, "d": 0.4})
    assert taken == ["c"]
    assert columns == [wide, {"d": 1.0}, {"c": 1.0}]


def test_the_leaf_with_the_least_cap_for_its_share_is_released() -> None:
    """Neither the first by name, nor the one with the least data."""
    columns, taken = released_for_caps(
        [{"k": 0.1, "l": 0.3, "m": 0.6}, {"z": 1.0}], {"k": 0.05, "l": 1, "m": 0.06, "z": 0.8}
    )
    assert taken == ["m"]
    assert [list(column) for column in columns] == [["k", "l"], ["z"], ["m"]]


def test_columns_that_meet_the_caps_exactly_stay() -> None:
    columns = [{"a": 0.5, "b": 0.5}, {"c": 1.0}]
    assert released_for_caps(columns, {"a": 0.25, "b": 0.25, "c": 0.5}) == (columns, [])
    # Nor is anything loosened in vain where the caps leave too little anyway.
    alone = [{"a": 1.0}, {"b": 1.0, "c": 0.0}]
    assert released_for_caps(alone, {"a": 0.1, "b": 0.2, "c": 0.0}) == (alone, [])
