"""Evidence carried over: a run says the same, whatever its leaves are called or split into later."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.carry import atom_matrix, extended, in_atoms, may_have_trained_on


def test_a_parents_weight_goes_to_its_parts_by_tokens() -> None:
    splits = extended({}, {"web": ["sports", "code"]}, {}, {"sports": 300, "code": 100})
    assert in_atoms({"web": 0.8, "wiki": 0.2}, splits) == pytest.approx({"sports": 0.6, "code": 0.2, "wiki": 0.2})


def test_what_is_held_out_now_may_have_been_trained_on_before() -> None:
    origins = {"html2": ["html1"], "html3": ["html2"], "part": ["html3"]}
    assert may_have_trained_on("part", {"html1": 0.5, "code": 0.5}, origins)
    assert may_have_trained_on("html2", {"html1": 0.5, "code": 0.5}, origins)
    assert not may_have_trained_on("part", {"code": 1.0}, origins)
    assert not may_have_trained_on("part", {"part": 1.0}, origins)
    assert not may_have_trained_on("new", {"html1": 1.0}, origins)


def test_splits_of_splits() -> None:
    splits = extended({}, {"web": ["a", "b"]}, {}, {"a": 1, "b": 1})
    splits = extended(splits, {"a": ["a1", "a2"]}, {}, {"a1": 3, "a2": 1})
    assert in_atoms({"web": 1.0}, splits) == pytest.approx({"a1": 0.375, "a2": 0.125, "b": 0.5})


def test_a_merger_is_its_parts() -> None:
    splits = extended({}, {}, {"both": ["x", "y"]}, {"x": 1, "y": 4})
    assert atom_matrix(["both", "z"], ["x", "y", "z"], splits).tolist() == [[0.2, 0], [0.8, 0], [0, 1]]


def test_split_and_merged_again_is_what_it_was() -> None:
    splits = extended({}, {"web": ["a", "b"]}, {}, {"a": 1, "b": 3})
    again = extended(splits, {}, {"web": ["a", "b"]}, {"a": 1, "b": 3})
    assert again == splits


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.floats(0.01, 1), min_size=1),
    st.lists(st.integers(1, 1000), min_size=4, max_size=4),
)
def test_a_mixture_over_atoms_is_a_mixture(mixture: dict[str, float], tokens: list[int]) -> None:
    counts = dict(zip(["a1", "a2", "b1", "b2"], tokens, strict=True))
    splits = extended({}, {"a": ["a1", "a2"], "b": ["b1", "b2"]}, {}, counts)
    found = in_atoms(mixture, splits)
    assert sum(found.values()) == pytest.approx(sum(mixture.values()))
    assert not {"a", "b"} & found.keys()
    leaves = sorted(mixture)
    matrix = atom_matrix(leaves, sorted(found), splits)
    assert np.allclose(matrix @ [mixture[leaf] for leaf in leaves], [found[atom] for atom in sorted(found)])
