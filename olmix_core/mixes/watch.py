"""Whether the domains changed since the last version of a mix, and whether that change was reported before.

A change is known by the version that it is a change of, and by the content of all leaves now. The change that was
reported last is in watched/<name>.json of the store, so that it is reported once however often somebody looks, also
while a run that deals with it is still under way. It is forgotten when the domains are those of the last version again.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from olmix_core.data.domain_diff import DomainDiff, diff_domains
from olmix_core.data.domains import DomainSet
from olmix_core.identity import digest
from olmix_core.mixes.versions import read_latest
from olmix_core.serialization import JsonObject
from olmix_core.storage.layout import watched_path
from olmix_core.storage.store import Store


@dataclass(frozen=True)
class LeafChange:
    """A change of a leaf.

    Attributes:
        domain: Label of the leaf.
        change: added, removed, revised, partitioned (a part of `origins`) or merged (of `origins`).
        origins: Labels of the leaves that it comes from.
    """

    domain: str
    change: str
    origins: tuple[str, ...] = ()  # labels of the old leaves

    def to_json(self) -> JsonObject:
        """Write the change as JSON.

        Returns:
            {domain, change, origins}.
        """
        return {"domain": self.domain, "change": self.change, "origins": list(self.origins)}


@dataclass(frozen=True)
class Observed:
    """The domains at this moment, compared with the last published version.

    Attributes:
        since: The version; None where there is none yet.
        id: Identity of the change.
        changes: The changed leaves.
        reported: Time when this change was reported, UTC; None where it was not.
    """

    since: str | None
    id: str
    changes: tuple[LeafChange, ...] = ()
    reported: str | None = None

    @property
    def is_news(self) -> bool:
        """Whether there is a change that was not reported."""
        return bool(self.changes) and self.reported is None

    def to_json(self) -> JsonObject:
        """Write the observation as JSON: the payload of the event, and what is remembered of it.

        Returns:
            {since, id, told, changes: [{domain, change, origins}]}.
        """
        changes = [change.to_json() for change in self.changes]
        return {"since": self.since, "id": self.id, "told": self.reported, "changes": list(changes)}


def observe(store: Store, name: str, domains: DomainSet) -> Observed:
    """Compare a domain set with the last version of a mix.

    Args:
        store: The store of the mix.
        name: Name of the mix.
        domains: The domains as they are now.

    Returns:
        What changed, and whether it was reported before.

    Raises:
        StoreError: The store cannot be read.
        DataError: A `partition_of` of the configuration names no leaf of the last version.
    """
    last = read_latest(store, name)
    since = None if last is None else last.version
    identity = digest({"since": since, "leaves": list(domains.fingerprints)})
    if last is None:
        return Observed(since, identity)
    changes = leaf_changes(diff_domains(last.old_leaves, domains), domains)
    if not changes:
        store.remove(watched_path(name))
    try:
        reported = store.read_json(watched_path(name))
    except FileNotFoundError:
        reported = {"id": None}
    return Observed(since, identity, changes, reported["told"] if reported["id"] == identity else None)


def remember(store: Store, name: str, observed: Observed) -> None:
    """Record that a change was reported, so that it is not reported again.

    Args:
        store: The store of the mix.
        name: Name of the mix.
        observed: The change.

    Raises:
        StoreError: The store cannot be written.
    """
    store.write_json(
        watched_path(name), {**observed.to_json(), "told": datetime.now(UTC).isoformat(timespec="seconds")}
    )


def leaf_changes(change: DomainDiff, domains: DomainSet) -> tuple[LeafChange, ...]:
    """List the changes of a diff; other names alone are no change.

    Args:
        change: The diff.
        domains: The new domain set.

    Returns:
        The changes, by label.
    """
    changes = [
        LeafChange(
            leaf.label,
            change.kind(leaf.fingerprint),
            tuple(sorted(change.old_labels[old] for old in change.origins.get(leaf.fingerprint, ()))),
        )
        for leaf in domains.leaves
        if leaf.fingerprint in change.affected
    ]
    changes += [LeafChange(change.old_labels[leaf], "removed") for leaf in change.removed]
    return tuple(sorted(changes, key=lambda leaf: (leaf.domain, leaf.change)))
