"""Overlap in words: for the plan, the record of a mix and the artifact of the step."""

from collections.abc import Mapping, Sequence

from olmix_core.data.domains import DomainSet
from olmix_core.data.overlap.result import LeafOverlap, Overlap, SharedDocuments
from olmix_core.formatting import amount

NAMED = 3  # files that a remark names
MOST = 5  # remarks of a kind


def overlap_remarks(overlap: Overlap, labels: Mapping[str, str]) -> list[str]:
    """Say what was found.

    Args:
        overlap: What was found.
        labels: Labels of leaves and tasks, by fingerprint.

    Returns:
        Remarks on leaves that hold protected text, pairs of leaves that share documents, and leaves with copies.
    """
    leaves = sorted(overlap.leaves.items(), key=lambda item: -item[1].tokens)
    held = [_held(leaf, found, overlap, labels) for leaf, found in leaves if found.exclusion is not None]
    shared = [_shared(pair, overlap, labels) for pair in sorted(overlap.shared, key=lambda pair: -pair.documents)]
    copies = [
        f"{labels[leaf]}: {found.copies:,} of {found.documents:,} documents are copies of others in it"
        for leaf, found in sorted(leaves, key=lambda item: -item[1].copies)
        if found.copies
    ]
    return [
        *_first(held, "domains hold text that proxies are evaluated on"),
        *_first(shared, "pairs of domains share documents"),
        *_first(copies, "domains hold copies of documents"),
    ]


def file_remarks(domains: DomainSet) -> list[str]:
    """Say which files stand twice in a domain set; nothing is read.

    Args:
        domains: The leaves.

    Returns:
        A remark for each leaf and each pair of leaves with files of the same content.
    """
    leaves = sorted(domains.leaves, key=lambda leaf: leaf.label)
    places: dict[str, list[tuple[str, str]]] = {}
    for leaf in leaves:
        for file in leaf.files:
            places.setdefault(file.content, []).append((leaf.label, file.url.rpartition("/")[2]))
    groups: dict[tuple[str, ...], list[str]] = {}
    for found in places.values():
        if len(found) > 1:
            groups.setdefault(tuple(dict.fromkeys(label for label, _ in found)), []).append(_equal(found))
    remarks = [
        f"{labels[0]}: files of the same content, of which each counts: {_named(files)}"
        if len(labels) == 1
        else f"{' and '.join(labels)} hold files of the same content: {_named(files)}"
        for labels, files in groups.items()
    ]
    return _first(remarks, "groups of files of the same content")


def _held(leaf: str, found: LeafOverlap, overlap: Overlap, labels: Mapping[str, str]) -> str:
    sources = sorted(found.found.items(), key=lambda item: -item[1])
    texts = [
        f"{count:,} of {overlap.protected[source]:,} passages"
        f" {'held out of' if source in overlap.leaves else 'of task'} {labels[source]}"
        for source, count in sources
    ]
    passages = "1 passage" if found.passages == 1 else f"{found.passages:,} passages"
    return (
        f"{labels[leaf]} holds {', '.join(texts)}: {passages} of it ({amount(found.tokens)} tokens) are not trained on"
    )


def _shared(pair: SharedDocuments, overlap: Overlap, labels: Mapping[str, str]) -> str:
    first, second = sorted(pair.leaves, key=lambda leaf: labels[leaf])
    about = "about " if pair.is_estimate else ""
    counts = [overlap.leaves[leaf].documents - overlap.leaves[leaf].copies for leaf in (first, second)]
    return (
        f"{labels[first]} and {labels[second]} share {about}{pair.documents:,} different documents, of"
        f" {counts[0]:,} and {counts[1]:,}"
    )


def _first(remarks: Sequence[str], what: str) -> list[str]:
    more = len(remarks) - MOST
    return [*remarks[:MOST], *([f"{more} more {what}"] if more > 0 else [])]


def _equal(places: Sequence[tuple[str, str]]) -> str:
    return " = ".join(dict.fromkeys(name for _, name in places))


def _named(files: Sequence[str]) -> str:
    more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
    return ", ".join(sorted(files)[:NAMED]) + more
