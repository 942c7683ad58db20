"""Comparison of a domain set with that of the last mix, by content.

Leaves are matched by content first: a leaf with the same fingerprint is the same leaf under any label. Of the remaining
leaves, several whose files together are those of one old leaf are its *partition*; a leaf with the files of several old
leaves is their *merger*; a leaf with the label of an old leaf but other content is its *revision*; all others are
*added* or *removed*. Where content is ambiguous, the interpretation that trains more proxies is taken, with a note.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from olmix_core.data.domains import DomainSet, Leaf
from olmix_core.errors import DataError

Contents = Counter[tuple[str, int, str]]


@dataclass(frozen=True)
class OldLeaf:
    """A leaf of a published mix.

    Attributes:
        label: Its label.
        fingerprint: Fingerprint of its content.
        contents: Its files: content hash, size in bytes, reader.
    """

    label: str
    fingerprint: str
    contents: tuple[tuple[str, int, str], ...]


@dataclass(frozen=True)
class DomainDiff:
    """How new leaves derive from old ones; leaves are fingerprints.

    Attributes:
        same: Leaves of both sets.
        added: New leaves without a past.
        removed: Old leaves that are gone.
        revised: {new leaf: old leaf}.
        partitioned: {old leaf: its new parts}.
        merged: {new leaf: its old parts}.
        renamed: {leaf: (old label, new label)}.
        old_labels: {old leaf: label}.
        notes: Remarks on ambiguous content.
    """

    same: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    revised: Mapping[str, str]
    partitioned: Mapping[str, tuple[str, ...]]
    merged: Mapping[str, tuple[str, ...]]
    renamed: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    old_labels: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def affected(self) -> frozenset[str]:
        """New leaves that were no leaves of the last mix."""
        parts = [part for children in self.partitioned.values() for part in children]
        return frozenset([*self.added, *self.revised, *self.merged, *parts])

    @property
    def origins(self) -> dict[str, tuple[str, ...]]:
        """{new leaf: old leaves that its content comes from}."""
        origins = {new: (old,) for new, old in self.revised.items()}
        origins |= {part: (old,) for old, parts in self.partitioned.items() for part in parts}
        return origins | dict(self.merged)

    @property
    def is_empty(self) -> bool:
        """Whether the two sets hold the same leaves (labels aside)."""
        return not self.affected and not self.removed

    def kind(self, leaf: str) -> str:
        """Name the change of a new leaf.

        Args:
            leaf: Fingerprint of the leaf.

        Returns:
            `added`, `revised`, `merged`, `partitioned`, `renamed` or `unchanged`.
        """
        if leaf in self.renamed:
            return "renamed"
        if leaf in self.added:
            return "added"
        if leaf in self.revised:
            return "revised"
        if leaf in self.merged:
            return "merged"
        return "unchanged" if leaf in self.same else "partitioned"


def diff_domains(old: Sequence[OldLeaf], new: DomainSet) -> DomainDiff:
    """Compare a published domain set with a new one.

    Args:
        old: Leaves of the published mix.
        new: The new domain set.

    Returns:
        The difference.

    Raises:
        DataError: `partition_of` names a leaf that the last mix does not have, or that is still there.
    """
    old_by = {leaf.fingerprint: leaf for leaf in old}
    new_by = {leaf.fingerprint: leaf for leaf in new.leaves}
    same = [fingerprint for fingerprint in new_by if fingerprint in old_by]
    gone = {fingerprint: leaf for fingerprint, leaf in old_by.items() if fingerprint not in new_by}
    fresh = {fingerprint: leaf for fingerprint, leaf in new_by.items() if fingerprint not in old_by}
    notes: list[str] = []

    partitioned = _declared_partitions(old, gone, fresh)
    partitioned |= _partitions(gone, fresh, notes)
    merged = _mergers(gone, fresh)
    revised: dict[str, str] = {}
    labels = {leaf.label: fingerprint for fingerprint, leaf in gone.items()}
    for fingerprint, leaf in list(fresh.items()):
        if leaf.label in labels:
            revised[fingerprint] = labels.pop(leaf.label)
            del fresh[fingerprint], gone[revised[fingerprint]]
    renamed = {
        fingerprint: (old_by[fingerprint].label, new_by[fingerprint].label)
        for fingerprint in same
        if old_by[fingerprint].label != new_by[fingerprint].label
    }
    return DomainDiff(
        same=tuple(same),
        added=tuple(fresh),
        removed=tuple(gone),
        revised=revised,
        partitioned=partitioned,
        merged=merged,
        renamed=renamed,
        old_labels={leaf.fingerprint: leaf.label for leaf in old},
        notes=tuple(notes),
    )


def _declared_partitions(
    old: Sequence[OldLeaf], gone: dict[str, OldLeaf], fresh: dict[str, Leaf]
) -> dict[str, tuple[str, ...]]:
    """Partitions declared by `partition_of`, for text that was written to new files."""
    labels = {leaf.label: leaf.fingerprint for leaf in old}
    declared: dict[str, list[str]] = {}
    for fingerprint, leaf in fresh.items():
        if leaf.partition_of is None:
            continue
        parent = labels.get(leaf.partition_of)
        if parent is None or parent not in gone:
            state = "which is still there" if parent else "which the last mix does not have"
            raise DataError(
                f"domain {leaf.label!r}: partition_of: found {leaf.partition_of!r}, {state}; expected a domain of"
                " the last mix that its parts replace: "
                + (", ".join(sorted(leaf.label for leaf in gone.values())) or "none")
            )
        declared.setdefault(parent, []).append(fingerprint)
    for parent, parts in declared.items():
        del gone[parent]
        for part in parts:
            del fresh[part]
    return {parent: tuple(parts) for parent, parts in declared.items()}


def _partitions(gone: dict[str, OldLeaf], fresh: dict[str, Leaf], notes: list[str]) -> dict[str, tuple[str, ...]]:
    partitions: dict[str, tuple[str, ...]] = {}
    for fingerprint, parent in list(gone.items()):
        whole = Counter(parent.contents)
        parts = {name: Counter(leaf.contents) for name, leaf in fresh.items()}
        inside = {name: part for name, part in parts.items() if part <= whole}
        together = sum(inside.values(), Contents())
        if len(inside) >= 2 and together == whole:
            partitions[fingerprint] = tuple(inside)
            del gone[fingerprint]
            for name in inside:
                del fresh[name]
        elif inside:
            kept = sum(together.values())
            labels = ", ".join(sorted(fresh[name].label for name in inside))
            notes.append(
                f"{labels}: together {kept} of the {sum(whole.values())} files of {parent.label!r}; taken for new"
                " content, since a partition has all files, each once"
            )
    return partitions


def _mergers(gone: dict[str, OldLeaf], fresh: dict[str, Leaf]) -> dict[str, tuple[str, ...]]:
    mergers: dict[str, tuple[str, ...]] = {}
    for fingerprint, leaf in list(fresh.items()):
        whole = Counter(leaf.contents)
        inside = {name: Counter(old.contents) for name, old in gone.items() if Counter(old.contents) <= whole}
        if len(inside) >= 2 and sum(inside.values(), Contents()) == whole:
            mergers[fingerprint] = tuple(inside)
            del fresh[fingerprint]
            for name in inside:
                del gone[name]
    return mergers
