"""Evidence carried over: a run says the same, whatever its leaves are called, split into or put together to later."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.data.domain_diff import OldLeaf, diff_domains
from olmix_core.data.domains import DomainSet, Leaf
from olmix_core.evidence.atoms import File, Split, atom_matrix, extend_splits, in_atoms, may_have_trained_on
from olmix_core.evidence.merge import merge
from olmix_core.evidence.rows import EvidenceRow, to_table
from olmix_core.identity import content_fingerprint
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import fit
from olmix_core.surrogate.settings import FitSettings
from tests.support.properties import examples


def test_weight_of_a_split_leaf_goes_to_its_parts_by_tokens() -> None:
    splits = extend_splits({}, {"web": ["sports", "code"]}, {}, {"sports": 300, "code": 100}, {})[0]
    assert in_atoms({"web": 0.8, "wiki": 0.2}, splits) == pytest.approx({"sports": 0.6, "code": 0.2, "wiki": 0.2})


def test_heldout_text_of_a_derived_leaf_may_have_been_trained_on() -> None:
    origins = {"html2": ["html1"], "html3": ["html2"], "part": ["html3"]}
    assert may_have_trained_on("part", {"html1": 0.5, "code": 0.5}, origins)
    assert may_have_trained_on("html2", {"html1": 0.5, "code": 0.5}, origins)
    assert not may_have_trained_on("part", {"code": 1.0}, origins)
    assert not may_have_trained_on("part", {"part": 1.0}, origins)
    assert not may_have_trained_on("new", {"html1": 1.0}, origins)


def test_splits_of_splits_are_followed() -> None:
    splits = extend_splits({}, {"web": ["a", "b"]}, {}, {"a": 1, "b": 1}, {})[0]
    splits = extend_splits(splits, {"a": ["a1", "a2"]}, {}, {"a1": 3, "a2": 1}, {})[0]
    assert in_atoms({"web": 1.0}, splits) == pytest.approx({"a1": 0.375, "a2": 0.125, "b": 0.5})


def test_merged_leaf_is_its_parts_by_tokens() -> None:
    splits = extend_splits({}, {}, {"both": ["x", "y"]}, {"x": 1, "y": 4}, {})[0]
    assert atom_matrix(["both", "z"], ["x", "y", "z"], splits).tolist() == [[0.2, 0], [0.8, 0], [0, 1]]


def test_leaf_split_and_merged_again_is_unchanged() -> None:
    splits = extend_splits({}, {"web": ["a", "b"]}, {}, {"a": 1, "b": 3}, {})[0]
    again = extend_splits(splits, {}, {"web": ["a", "b"]}, {"a": 1, "b": 3}, {})[0]
    assert again == splits


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.floats(0.01, 1), min_size=1),
    st.lists(st.integers(1, 1000), min_size=4, max_size=4),
)
def test_mixture_over_atoms_keeps_its_sum(mixture: dict[str, float], tokens: list[int]) -> None:
    counts = dict(zip(["a1", "a2", "b1", "b2"], tokens, strict=True))
    splits = extend_splits({}, {"a": ["a1", "a2"], "b": ["b1", "b2"]}, {}, counts, {})[0]
    found = in_atoms(mixture, splits)
    assert sum(found.values()) == pytest.approx(sum(mixture.values()))
    assert not {"a", "b"} & found.keys()
    leaves = sorted(mixture)
    matrix = atom_matrix(leaves, sorted(found), splits)
    assert np.allclose(matrix @ [mixture[leaf] for leaf in leaves], [found[atom] for atom in sorted(found)])


# Sequences of changes


@dataclass
class Lineage:
    """A domain set whose leaves are sets of files, changed step by step, with runs recorded in between.

    What it is held against knows nothing of leaves: a run is a mixture over files, by their size.
    """

    sizes: dict[str, int]  # of every file
    leaves: dict[str, tuple[str, ...]]  # label -> files
    random: np.random.Generator
    splits: Split = field(default_factory=dict)
    contents: dict[str, list[File]] = field(default_factory=dict)
    rows: list[EvidenceRow] = field(default_factory=list)
    over_files: list[dict[str, float]] = field(default_factory=list)

    def files(self, names: Sequence[str]) -> tuple[File, ...]:
        return tuple(sorted((name, self.sizes[name], "text") for name in names))

    def domains(self) -> DomainSet:
        found = []
        for label, names in self.leaves.items():
            files = self.files(names)
            found.append(Leaf(label, content_fingerprint(files), (), 0, files, label, 1.0))
        return DomainSet(tuple(sorted(found, key=lambda leaf: leaf.fingerprint)))

    def run(self, count: int) -> None:
        """Train proxies on mixtures of today's leaves; what they show depends on the files alone."""
        domains = self.domains().leaves
        for _ in range(count):
            weights = self.random.dirichlet(np.ones(len(domains)))
            files: dict[str, float] = {}
            for leaf, weight in zip(domains, weights, strict=True):
                total = sum(size for _, size, _ in leaf.contents)
                for name, size, _ in leaf.contents:
                    files[name] = files.get(name, 0.0) + weight * size / total
            harm = sum(weight * np.sin(float(int(name))) for name, weight in files.items())
            bpb = {"task": 1 + float(np.exp(harm)) + self.random.normal(0, 0.01)}
            mixture = {leaf.fingerprint: float(weight) for leaf, weight in zip(domains, weights, strict=True)}
            self.rows.append(EvidenceRow(f"run{len(self.rows):03d}", mixture, bpb, {}, "tok", "s"))
            self.over_files.append(files)

    def change(self, kind: str, pick: int) -> None:
        """One change of the domain set, as an update sees it."""
        before = self.domains()
        labels = sorted(self.leaves)
        label = labels[pick % len(labels)]
        if kind == "rename":
            self.leaves[f"{label}'"] = self.leaves.pop(label)
        elif kind == "reorder":
            self.leaves = dict(reversed(self.leaves.items()))
        elif kind == "add":
            names = [str(len(self.sizes) + number) for number in range(1 + pick % 3)]
            self.sizes |= {name: 1 + (pick * (number + 1)) % 7 for number, name in enumerate(names)}
            self.leaves[f"new{len(self.sizes)}"] = tuple(names)
        elif kind == "remove" and len(labels) > 2:
            del self.leaves[label]
        elif kind == "partition" and len(self.leaves[label]) > 1:
            names = self.random.permutation(self.leaves.pop(label)).tolist()
            cut = 1 + pick % (len(names) - 1)
            self.leaves |= {f"{label}/1": tuple(names[:cut]), f"{label}/2": tuple(names[cut:])}
        elif kind == "merge" and len(labels) > 2:
            other = next(one for one in labels if one != label)
            self.leaves[f"{label}+"] = self.leaves.pop(label) + self.leaves.pop(other)
        old = [OldLeaf(leaf.label, leaf.fingerprint, leaf.contents) for leaf in before.leaves]
        changed = diff_domains(old, self.domains())
        leaves = [*before.leaves, *self.domains().leaves]
        tokens = {leaf.fingerprint: 1000 * sum(size for _, size, _ in leaf.contents) for leaf in leaves}
        contents = {**self.contents, **{leaf.fingerprint: list(leaf.contents) for leaf in leaves}}
        self.splits, self.contents = extend_splits(self.splits, changed.partitioned, changed.merged, tokens, contents)

    def carried(self) -> tuple[SwarmData, dict[str, list[File]]]:
        """The evidence as an update uses it; and the files of every atom."""
        atoms: set[str] = set()
        for leaf in [leaf for row in self.rows for leaf in row.mixture] + list(self.domains().fingerprints):
            atoms |= in_atoms({leaf: 1.0}, self.splits).keys()
        known = dict(self.contents)
        for label_files in self.seen:
            known.setdefault(content_fingerprint(label_files), list(label_files))
        evidence = merge(to_table(self.rows)).problem(sorted(atoms), self.splits, ["task"])
        return evidence, {atom: known[atom] for atom in sorted(atoms)}

    seen: list[tuple[File, ...]] = field(default_factory=list)


KINDS = ("rename", "reorder", "add", "remove", "partition", "merge")
changes = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 50)), min_size=1, max_size=9)


@examples(100)
@given(changes, st.integers(0, 10**6))
def test_evidence_carried_through_changes_gives_the_same_fit_as_evidence_in_the_final_leaves(
    steps: list[tuple[str, int]], seed: int
) -> None:
    sizes = {str(number): 1 + number % 4 for number in range(8)}
    first = {"a": ("0", "1", "2"), "b": ("3", "4", "5"), "c": ("6", "7")}
    lineage = Lineage(sizes, first, np.random.default_rng(seed))
    for kind, pick in steps:
        lineage.seen += [leaf.contents for leaf in lineage.domains().leaves]
        lineage.run(4)
        lineage.change(kind, pick)
    lineage.seen += [leaf.contents for leaf in lineage.domains().leaves]
    lineage.run(6)
    evidence, atoms = lineage.carried()
    # The atoms share no file, so that there is one way only to write a run, or a leaf, in them.
    names = [name for files in atoms.values() for name, _, _ in files]
    assert len(names) == len(set(names))
    direct = np.array(
        [
            [sum(files.get(name, 0.0) for name, _, _ in atoms[atom]) for atom in evidence.leaves]
            for files in lineage.over_files
        ]
    )
    np.testing.assert_allclose(evidence.X, direct, rtol=0, atol=1e-12)
    final = lineage.domains().fingerprints
    made_of = atom_matrix(final, evidence.leaves, lineage.splits)
    for column, leaf in enumerate(lineage.domains().leaves):
        total = sum(size for _, size, _ in leaf.contents)
        inside = {name: size / total for name, size, _ in leaf.contents}
        expected = [sum(inside.get(name, 0.0) for name, _, _ in atoms[atom]) for atom in evidence.leaves]
        np.testing.assert_allclose(made_of[:, column], expected, rtol=0, atol=1e-12)
    if len(evidence.runs) < 20:
        return  # the fit is what takes time: on the longer sequences, which say more
    from_start = SwarmData(direct, evidence.Y, evidence.runs, evidence.leaves, evidence.tasks)
    at = np.random.default_rng(seed).dirichlet(np.ones(len(final)), 20) @ made_of.T
    law, law_from_start = [fit(one, FitSettings(family="log_linear", ridge=1e-4)) for one in (evidence, from_start)]
    np.testing.assert_allclose(law.predict(at), law_from_start.predict(at), rtol=0, atol=1e-6)


def test_leaf_merged_and_split_along_other_lines_is_written_over_intersections() -> None:
    sizes = {"1": 1, "2": 3, "3": 2, "4": 2, "5": 1}
    files = {names: [(name, sizes[name], "text") for name in names] for names in ("12", "34", "1234", "13", "24")}
    leaf = {names: content_fingerprint(of_leaf) for names, of_leaf in files.items()}
    contents = {leaf[names]: of_leaf for names, of_leaf in files.items()}
    tokens = {leaf["12"]: 4, leaf["34"]: 4, leaf["13"]: 3, leaf["24"]: 5}
    splits, _ = extend_splits({}, {}, {leaf["1234"]: [leaf["12"], leaf["34"]]}, tokens, contents)
    splits, known = extend_splits(splits, {leaf["1234"]: [leaf["13"], leaf["24"]]}, {}, tokens, contents)
    cell = {name: content_fingerprint([(name, sizes[name], "text")]) for name in "1234"}
    assert in_atoms({leaf["12"]: 1.0}, splits) == pytest.approx({cell["1"]: 0.25, cell["2"]: 0.75})
    assert in_atoms({leaf["13"]: 1.0}, splits) == pytest.approx({cell["1"]: 1 / 3, cell["3"]: 2 / 3})
    assert known[cell["4"]] == [("4", 2, "text")]
