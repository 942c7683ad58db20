"""Whether the domains changed since the last version of a mix, and whether that was told before.

A change is known by what it is: the version that it is a change of, and the content of all leaves now. What was told
last is in watched/<name>.json of the store, so that a change is told once however often somebody looks, also while a
run that deals with it is still under way. It is forgotten when the domains are those of the last version again.
"""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from olmix_core.data.domain_diff import DomainDiff, diff_domains, old_leaves
from olmix_core.data.domains import DomainSet
from olmix_core.identity import digest
from olmix_core.mixes.record import latest_version, read_mix
from olmix_core.storage.layout import watched_path
from olmix_core.storage.store import Store


@dataclass(frozen=True)
class LeafChange:
    """What happened to a leaf: added, removed, revised, partitioned (a part of `origins`) or merged (of `origins`)."""

    domain: str
    change: str
    origins: tuple[str, ...] = ()  # labels of the old leaves


@dataclass(frozen=True)
class Observed:
    """The domains as they are now, beside the version `since`; None where there is no version yet."""

    since: str | None
    id: str
    changes: tuple[LeafChange, ...]
    told: str | None  # when this change was told, UTC

    @property
    def is_news(self) -> bool:
        return bool(self.changes) and self.told is None

    def to_json(self) -> dict[str, Any]:
        """{since, id, changes: [{domain, change, origins}], told}"""
        return {
            **{name: getattr(self, name) for name in ("since", "id", "told")},
            "changes": [{**asdict(one), "origins": list(one.origins)} for one in self.changes],
        }


def observe(store: Store, name: str, domains: DomainSet) -> Observed:
    """Compare `domains` with the last version of the mix `name`. Raises StoreError, DataError."""
    since = latest_version(store, name)
    found = digest({"since": since, "leaves": list(domains.fingerprints)})
    if since is None:
        return Observed(None, found, (), None)
    changes = leaf_changes(diff_domains(old_leaves(read_mix(store, name, since)), domains), domains)
    if not changes:
        store.remove(watched_path(name))
    try:
        known = store.read_json(watched_path(name))
    except FileNotFoundError:
        known = {"id": None}
    return Observed(since, found, changes, known["told"] if known["id"] == found else None)


def remember(store: Store, name: str, observed: Observed) -> None:
    """Keep that this change was told, so that it is not told again."""
    store.write_json(
        watched_path(name), {**observed.to_json(), "told": datetime.now(UTC).isoformat(timespec="seconds")}
    )


def leaf_changes(change: DomainDiff, domains: DomainSet) -> tuple[LeafChange, ...]:
    """By label; names alone are no change."""
    found = [
        LeafChange(
            leaf.label,
            change.kind(leaf.fingerprint),
            tuple(sorted(change.old_labels[old] for old in change.origins.get(leaf.fingerprint, ()))),
        )
        for leaf in domains.leaves
        if leaf.fingerprint in change.affected
    ]
    found += [LeafChange(change.old_labels[leaf], "removed") for leaf in change.removed]
    return tuple(sorted(found, key=lambda one: (one.domain, one.change)))
