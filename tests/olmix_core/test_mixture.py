import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.mixture import DECIMALS, LeafIndex, apportion, caps, natural, tidy

counts = st.lists(st.integers(0, 10**12), min_size=1, max_size=60).filter(any)
mixtures = counts.map(natural)


@given(counts)
def test_natural_is_in_proportion_to_tokens(tokens: list[int]) -> None:
    p = natural(tokens)
    assert p.sum() == pytest.approx(1.0)
    assert p * sum(tokens) == pytest.approx(np.array(tokens, float))


# Apportion


@given(mixtures, st.integers(0, 10**6))
def test_shares_are_whole_within_one_and_add_up(weights: np.ndarray, total: int) -> None:
    shares = apportion(weights, total)
    assert shares.sum() == total
    assert np.all(np.abs(shares - weights * total) < 1 + 1e-6)
    assert np.all(shares >= 0)


@given(mixtures, st.integers(0, 10**6))
def test_what_has_no_weight_gets_nothing(weights: np.ndarray, total: int) -> None:
    assert not apportion(np.append(weights, 0.0), total)[-1]
    assert not apportion(weights, total)[weights == 0].any()


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20).filter(any), st.integers(1, 20))
def test_what_divides_exactly_is_exact(parts: list[int], times: int) -> None:
    assert apportion(natural(parts), sum(parts) * times).tolist() == [part * times for part in parts]


def test_equal_remainders_go_to_the_first() -> None:
    assert apportion([0.25] * 4, 2).tolist() == [1, 1, 0, 0]
    assert apportion([1 / 3] * 3, 4).tolist() == [2, 1, 1]
    assert apportion([1 / 64] * 64, 100).tolist() == [2] * 36 + [1] * 28


def test_counts_are_whole_numbers_of_whatever_kind_the_weights_are() -> None:
    for weights in ([1, 0], np.array([1, 0]), np.array([0.5, 0.5], np.float32), (0.3, 0.7)):
        assert apportion(weights, 7).dtype == np.int64


# Tidy


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60).filter(lambda w: sum(w) > 1e-6))
def test_a_tidy_mixture_is_the_same_mixture(values: list[float]) -> None:
    weights = np.array(values) / sum(values)
    tidied = tidy(weights)
    assert tidied.sum() == pytest.approx(1.0, abs=1e-15 * len(values) + 1e-15)
    assert np.all(tidied >= 0)
    assert tidied == pytest.approx(weights, abs=len(values) * 10**-DECIMALS)
    assert [round(weight, DECIMALS) for weight in tidied.tolist()] == tidied.tolist()
    assert tidy(tidied).tolist() == tidied.tolist()


def test_what_rounds_to_nothing_is_nothing() -> None:
    tidied = tidy([0.5, 1e-13, -1e-13, 0.5])
    assert tidied.tolist() == [0.5, 0.0, 0.0, 0.5]
    assert not np.signbit(tidied).any()  # a negative zero would print as another number


def test_the_last_bits_of_arithmetic_are_no_part_of_a_mixture() -> None:
    weights = natural([3, 5, 7])
    assert tidy(np.nextafter(weights, 0)).tobytes() == tidy(np.nextafter(weights, 1)).tobytes()


# Expansion


# Caps


@given(counts, st.floats(1, 1e13), st.floats(0.1, 10))
def test_a_leaf_at_its_cap_is_repeated_as_often_as_allowed(tokens: list[int], target: float, times: float) -> None:
    epochs = caps(tokens, target, times) * target / np.maximum(tokens, 1)
    assert epochs[np.array(tokens) > 0] == pytest.approx(times)
    assert not caps(tokens, target, times)[np.array(tokens) == 0].any()


# LeafIndex


def test_a_leaf_index_converts_between_mappings_and_vectors() -> None:
    index = LeafIndex.sorted(["b", "a", "c", "a"])
    assert index.names == ("a", "b", "c")
    assert (len(index), list(index), "b" in index, "d" in index) == (3, ["a", "b", "c"], True, False)
    assert index.position("c") == 2
    assert index.vector({"c": 0.25, "a": 0.75}).tolist() == [0.75, 0.0, 0.25]
    assert index.vector({"c": 0.5}, default=1.0).tolist() == [1.0, 1.0, 0.5]
    assert index.mapping(np.array([0.75, 0.0, 0.25])) == {"a": 0.75, "b": 0.0, "c": 0.25}
    assert index.mixture(np.array([0.75, 0.0, 0.25])) == {"a": 0.75, "c": 0.25}
    assert index.matrix([{"a": 1.0}, {"b": 0.5, "c": 0.5}]).tolist() == [[1.0, 0.0], [0.0, 0.5], [0.0, 0.5]]


def test_values_of_a_leaf_index_are_plain_python_values() -> None:
    index = LeafIndex(("a",))
    assert type(index.mapping(np.array([True]))["a"]) is bool
    assert type(index.mapping(np.array([3]))["a"]) is int
    assert type(index.mixture(np.array([0.5]))["a"]) is float


def test_a_leaf_index_rejects_unknown_and_repeated_leaves() -> None:
    with pytest.raises(ValueError, match="unknown leaf 'z'; expected one of: a, b"):
        LeafIndex(("a", "b")).vector({"z": 1.0})
    with pytest.raises(ValueError, match="leaf 'a' appears more than once"):
        LeafIndex(("a", "b", "a"))
    with pytest.raises(ValueError, match="shorter"):
        LeafIndex(("a", "b")).mapping(np.array([1.0]))
