"""The mixtures that anchors train on."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.planning.anchor_choice import representative
from tests.support.properties import examples

NEAR_A = [{"a": 0.9 - e, "b": 0.1 + e} for e in (0.0, 0.02, 0.04)]
GROUPS = [*NEAR_A, *({"c": 1.0 - e, "a": e} for e in (0.02, 0.04, 0.06))]


def test_one_mixture_of_each_group_is_chosen() -> None:
    assert {number // 3 for number in representative(GROUPS, 2)} == {0, 1}


def test_the_first_is_the_one_in_the_middle() -> None:
    assert representative(NEAR_A, 1) == [1]


def test_all_are_chosen_where_there_are_not_more() -> None:
    assert sorted(representative(GROUPS, 9)) == list(range(6))


@given(st.integers(0, 1000), st.integers(1, 6))
@examples(30)
def test_mixtures_are_chosen_once_and_those_of_fewer_are_among_those_of_more(seed: int, count: int) -> None:
    weights = np.random.default_rng(seed).dirichlet(np.full(4, 0.5), size=12)
    mixtures = [dict(zip("abcd", row, strict=True)) for row in weights]
    chosen = representative(mixtures, count)
    assert len(set(chosen)) == count
    assert representative(mixtures, count + 1)[:count] == chosen
