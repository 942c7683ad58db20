"""Automatic release: what is worth recomputing, on a truth that is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from olmix_core.planning.coupling import candidates, centred, greedy_release, kappa, stable_release

SPORTS, SOFTWARE, NEWS, CODE = range(4)


def web_and_code() -> np.ndarray:
    """Coefficients [T, 4] of three tasks (code, sport, general) over three web topics and a new source of code."""
    return np.array(
        [
            # sports software news   code
            [0.2, -1.0, 0.2, -2.0],  # a code task: software and code help
            [-1.0, 0.3, 0.1, 0.3],  # a sport task: sports helps
            [-0.1, 0.0, -0.2, 0.2],  # a general task
        ]
    )


def test_adding_code_releases_software_before_sports() -> None:
    released = greedy_release(web_and_code(), [SPORTS, SOFTWARE, NEWS], [CODE], runs_per_dimension=3)
    order = [one.leaf for one in candidates(web_and_code(), [SPORTS, SOFTWARE, NEWS], [CODE])]
    assert order.index(SOFTWARE) < order.index(SPORTS) < order.index(NEWS)
    assert released[0] == SOFTWARE
    assert NEWS not in released


def test_kappa_is_that_of_the_theorem() -> None:
    coefficients = np.array([[3.0, 4.0, 12.0]])
    # alpha_fix = 5, alpha_comp = 12: (1 + 5 + 12) * 5
    assert kappa(coefficients, [0, 1], [2]) == pytest.approx(90.0)


def test_a_release_has_to_take_away_more_than_it_adds() -> None:
    alike = np.full((2, 8), 0.5)
    # Each of seven kept leaves carries a seventh of the coupling; a release adds a third of the runs.
    assert greedy_release(alike, list(range(7)), [7], runs_per_dimension=3) == []


def test_what_all_leaves_have_in_common_moves_no_ratio() -> None:
    weights = np.array([0.4, 0.3, 0.2, 0.1])
    shifted = web_and_code() + np.array([[5.0], [-3.0], [1.0]])
    assert np.allclose(centred(shifted, weights), centred(web_and_code(), weights))


@given(arrays(float, (3, 6), elements=st.floats(-3, 3)))
def test_releasing_changes_kappa_as_told_and_in_order(coefficients: np.ndarray) -> None:
    found = candidates(coefficients, [0, 1, 2, 3], [4, 5])
    assert {one.leaf for one in found} == {0, 1, 2, 3}
    assert [one.after for one in found] == sorted(one.after for one in found)
    for one in found:
        fixed = [leaf for leaf in range(4) if leaf != one.leaf]
        assert one.after == pytest.approx(kappa(coefficients, fixed, [4, 5, one.leaf]))
    coupled, kept, free = kappa(coefficients, [0, 1, 2, 3], [4, 5]), [0, 1, 2, 3], [4, 5]
    for leaf in greedy_release(coefficients, [0, 1, 2, 3], [4, 5], 3):
        kept.remove(leaf)
        free.append(leaf)
        assert kappa(coefficients, kept, free) < coupled
        coupled = kappa(coefficients, kept, free)


@given(arrays(float, (3, 6), elements=st.floats(-3, 3)))
def test_draws_that_agree_release_what_one_of_them_does(coefficients: np.ndarray) -> None:
    released = stable_release(coefficients, np.array([coefficients] * 3), [0, 1, 2, 3], [4, 5], 3)
    assert {one.leaf for one in released} == set(greedy_release(coefficients, [0, 1, 2, 3], [4, 5], 3))
    assert [one.before for one in released[1:]] == pytest.approx([one.after for one in released[:-1]])


def test_what_few_draws_release_is_kept_and_so_is_one_leaf() -> None:
    best, others = web_and_code(), np.full((3, 4), 0.5)
    fixed, code = [SPORTS, SOFTWARE, NEWS], [CODE]
    assert stable_release(best, np.array([best, best, others]), fixed, code, 3)[0].leaf == SOFTWARE
    assert stable_release(best, np.array([best, others, others]), fixed, code, 3) == []
    # Each draw keeps another leaf, and two thirds release any of them.
    steep = [np.roll([[0.001, 0.1, 0.05]], kept, axis=1) for kept in fixed]
    draws = np.array([np.append(draw, [[0.01]], axis=1) for draw in steep])
    assert [sorted(greedy_release(draw, fixed, code, 3)) for draw in draws] == [[1, 2], [0, 2], [0, 1]]
    assert len(stable_release(draws[0], draws, fixed, code, 3)) == 2
