"""What happened to a domain set, seen by content: every operator, and several at once."""

import pytest

from olmix_core.data.domain_diff import DomainDiff, OldLeaf, diff_domains
from olmix_core.data.domains import DomainSet, Leaf
from olmix_core.errors import DataError
from olmix_core.identity import content_fingerprint


def contents(files: str) -> tuple[tuple[str, int, str], ...]:
    """A file for each letter."""
    return tuple(sorted((letter, 1, "text") for letter in files))


def new(partition_of: dict[str, str] | None = None, **leaves: str) -> DomainSet:
    found = [
        Leaf(
            label=label,
            fingerprint=content_fingerprint(contents(files)),
            files=(),
            size=1,
            contents=contents(files),
            column=label,
            share=1.0,
            partition_of=(partition_of or {}).get(label),
        )
        for label, files in leaves.items()
    ]
    return DomainSet(tuple(sorted(found, key=lambda leaf: leaf.fingerprint)))


def old(**leaves: str) -> tuple[OldLeaf, ...]:
    return tuple(
        OldLeaf(label, content_fingerprint(contents(files)), contents(files)) for label, files in leaves.items()
    )


def kinds(change: DomainDiff, domains: DomainSet) -> dict[str, str]:
    return {leaf.label: change.kind(leaf.fingerprint) for leaf in domains.leaves}


OPERATORS = {
    "nothing": (old(x="ab", y="c"), new(y="c", x="ab"), {"x": "unchanged", "y": "unchanged"}, 0),
    "rename": (old(x="ab", y="c"), new(z="ab", y="c"), {"z": "renamed", "y": "unchanged"}, 0),
    "swap of labels": (old(x="ab", y="c"), new(x="c", y="ab"), {"x": "renamed", "y": "renamed"}, 0),
    "add": (old(x="ab"), new(x="ab", y="c"), {"x": "unchanged", "y": "added"}, 0),
    "remove": (old(x="ab", y="c"), new(x="ab"), {"x": "unchanged"}, 1),
    "revise": (old(x="ab"), new(x="abc"), {"x": "revised"}, 0),
    "partition": (
        old(x="ab", y="c"),
        new(p="a", q="b", y="c"),
        {"p": "partitioned", "q": "partitioned", "y": "unchanged"},
        0,
    ),
    "merge": (old(x="ab", y="c"), new(z="abc"), {"z": "merged"}, 0),
    "all at once": (
        old(a="a", b="bc", c="d", d="ef", e="g", f="h", g="i"),
        new(A="a", b1="b", b2="c", c="dD", m="efg", n="N", g="i"),
        {
            "A": "renamed",
            "b1": "partitioned",
            "b2": "partitioned",
            "c": "revised",
            "m": "merged",
            "n": "added",
            "g": "unchanged",
        },
        1,
    ),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator(name: str) -> None:
    before, after, expected, removed = OPERATORS[name]
    change = diff_domains(before, after)
    assert kinds(change, after) == expected
    assert len(change.removed) == removed
    assert change.is_empty == (name in ("nothing", "rename", "swap of labels"))
    affected = {leaf.label for leaf in after.leaves if leaf.fingerprint in change.affected}
    assert affected == {label for label, kind in expected.items() if kind not in ("unchanged", "renamed")}


def test_a_part_of_a_partition_may_keep_the_label() -> None:
    after = new(x="a", y="b")
    change = diff_domains(old(x="ab"), after)
    assert set(kinds(change, after).values()) == {"partitioned"}


def test_an_incomplete_partition_is_new_content_and_said() -> None:
    after = new(p="a", q="b")
    change = diff_domains(old(x="abc"), after)
    assert set(kinds(change, after).values()) == {"added"}
    assert len(change.removed) == 1
    assert "together 2 of the 3 files of 'x'" in change.notes[0]


def test_a_partition_into_new_files_can_be_declared() -> None:
    after = new({"p": "x", "q": "x"}, p="k", q="l", y="c")
    change = diff_domains(old(x="ab", y="c"), after)
    assert kinds(change, after) == {"p": "partitioned", "q": "partitioned", "y": "unchanged"}


@pytest.mark.parametrize(
    ("named", "message"), [("z", "which the last mix does not have"), ("y", "which is still there")]
)
def test_a_wrong_declaration_is_refused(named: str, message: str) -> None:
    with pytest.raises(DataError, match=f"partition_of: found '{named}', {message}"):
        diff_domains(old(x="ab", y="c"), new({"p": named}, p="k", y="c"))
