"""The versions of a mix one after another, and two of them side by side."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from pydantic import JsonValue

from olmix_core.errors import StoreError
from olmix_core.identity import fields
from olmix_core.mixes.record import MixRecord
from olmix_core.mixes.versions import latest_version, read_mix
from olmix_core.serialization import JsonObject
from olmix_core.storage.layout import MIXES_FOLDER
from olmix_core.storage.store import Store
from olmix_core.surrogate.intervals import Interval


@dataclass(frozen=True)
class VersionSummary:
    """A version in the history of a mix.

    Attributes:
        version: The version.
        created: Time of publication, UTC.
        builds_on: The version that it builds on; None for a first one.
        change: {kind of change: leaves} since that version.
        domains: Number of leaves.
        strategy: Strategy of reuse.
        proxies: Proxies trained by the run that published.
        cached: Proxies that it took from the cache.
        carried_over: Proxies on record that inform it.
        full_recompute: Proxies that training with every domain free takes.
        natural: Predicted mean BPB of the natural mixture.
        proposed: Predicted mean BPB of the proposed mixture.
        gain: Gain of the proposed mixture over the natural one, in BPB.
    """

    version: str
    created: str
    builds_on: str | None
    change: Mapping[str, int]
    domains: int
    strategy: str
    proxies: int
    cached: int
    carried_over: int
    full_recompute: int
    natural: float
    proposed: float
    gain: float

    @property
    def needs_swarm(self) -> bool:
        """Whether full recomputation would train a swarm: for a first version, and for every change of the domains."""
        return self.builds_on is None or bool(self.change)

    def to_json(self) -> JsonObject:
        """Write the summary as JSON.

        Returns:
            The fields, as docs/schemas/history.json describes them.
        """
        return {**asdict(self), "change": dict(self.change)}


@dataclass(frozen=True)
class LeafDifference:
    """A leaf in two versions.

    Attributes:
        domain: Its label.
        change: How it differs.
        a: Its weight in the first version; None where it is not in it.
        b: Its weight in the second version; None where it is not in it.
    """

    domain: str
    change: str
    a: float | None
    b: float | None


@dataclass(frozen=True)
class SettingDifference:
    """A setting that two versions differ in.

    Attributes:
        field: Its name.
        a: Its value in the first version; None where it is not set.
        b: Its value in the second version; None where it is not set.
    """

    field: str
    a: JsonValue
    b: JsonValue


@dataclass(frozen=True)
class EvidenceSummary:
    """The evidence of a version.

    Attributes:
        id: Beginning of its id.
        swarm: Proxies of the version's swarm.
        carried_over: Proxies of earlier versions.
    """

    id: str
    swarm: int
    carried_over: int


@dataclass(frozen=True)
class Side:
    """One of two versions.

    Attributes:
        name: NAME@VERSION.
        only_tasks: Tasks that only this version has.
        evidence: Its evidence.
        predicted: Predicted mean BPB of its mixture.
    """

    name: str
    only_tasks: tuple[str, ...]
    evidence: EvidenceSummary
    predicted: Interval


@dataclass(frozen=True)
class MixDifference:
    """Two versions side by side.

    Attributes:
        a: The first version.
        b: The second version.
        leaves: Leaves of both, matched by content, the heaviest first.
        settings: Settings that differ.
    """

    a: Side
    b: Side
    leaves: tuple[LeafDifference, ...]
    settings: tuple[SettingDifference, ...]

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both versions."""
        return self.a, self.b

    def to_json(self) -> JsonObject:
        """Write the comparison as JSON.

        Returns:
            The fields, as docs/schemas/diff.json describes them.
        """
        return {
            "a": self.a.name,
            "b": self.b.name,
            "leaves": [asdict(leaf) for leaf in self.leaves],
            "settings": [asdict(setting) for setting in self.settings],
            "tasks": {"only in a": list(self.a.only_tasks), "only in b": list(self.b.only_tasks)},
            "evidence": {"a": asdict(self.a.evidence), "b": asdict(self.b.evidence)},
            "predicted": {"a": asdict(self.a.predicted), "b": asdict(self.b.predicted)},
        }


def read_history(store: Store, name: str, version: str | None = None) -> list[VersionSummary]:
    """Read the lineage of a mix.

    Args:
        store: The store of the mix.
        name: Name of the mix.
        version: The version to end with, by default the latest.

    Returns:
        The versions, oldest first.

    Raises:
        StoreError: There is no such version, or a record cannot be read.
    """
    version = version or latest_version(store, name)
    if version is None:
        read_mix(store, name)  # raises, naming the mixes that are there
    rows = []
    while version is not None:
        record = read_mix(store, name, version)
        rows.append(summarise(record))
        version = record.parent
    return rows[::-1]


def summarise(record: MixRecord) -> VersionSummary:
    """Summarise a version: what changed, what was spent and gained.

    Args:
        record: Its record.

    Returns:
        The summary.
    """
    kinds = [kind for kind in record.change.values() if kind != "unchanged"]
    change = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    if record.removed:
        change["removed"] = len(record.removed)
    trained = record.training
    return VersionSummary(
        version=record.version,
        created=record.created,
        builds_on=record.base,
        change=change,
        domains=len(record.domain_set),
        strategy=record.settings.reuse.strategy,
        proxies=trained.executed,
        cached=trained.cached,
        carried_over=record.proxies.carried_over,
        full_recompute=record.proxies.full_recompute,
        natural=record.predicted["natural"].bpb,
        proposed=record.predicted["proposed"].bpb,
        gain=record.gain["over_natural"].bpb,
    )


def differences(old: MixRecord, new: MixRecord) -> MixDifference:
    """Compare two versions: leaves, weights, settings, tasks, evidence.

    Args:
        old: The version `a`.
        new: The version `b`.

    Returns:
        The comparison. Leaves are matched by content, so that a renamed one is one leaf.
    """
    return MixDifference(
        a=_side(old, new),
        b=_side(new, old),
        leaves=_leaf_differences(old, new),
        settings=_setting_differences(old, new),
    )


def _side(record: MixRecord, other: MixRecord) -> Side:
    shared = {task.fingerprint for task in other.tasks}
    return Side(
        name=f"{record.name}@{record.version}",
        only_tasks=tuple(sorted(task.name for task in record.tasks if task.fingerprint not in shared)),
        evidence=EvidenceSummary(record.evidence[:12], record.proxies.swarm, record.proxies.carried_over),
        predicted=record.predicted["proposed"],
    )


def _leaf_differences(old: MixRecord, new: MixRecord) -> tuple[LeafDifference, ...]:
    rows = []
    for content in {**new.labels, **old.labels}:
        before, after = old.labels.get(content), new.labels.get(content)
        if before is None:
            change = "only in b"
        elif after is None:
            change = "only in a"
        else:
            change = f"was {before}" if before != after else ""
        weights = old.weights_by_content.get(content), new.weights_by_content.get(content)
        rows.append(LeafDifference(after or before or content, change, *weights))
    return tuple(sorted(rows, key=lambda row: -max(row.a or 0.0, row.b or 0.0)))


def _setting_differences(old: MixRecord, new: MixRecord) -> tuple[SettingDifference, ...]:
    before, after = fields(old.settings.to_json()), fields(new.settings.to_json())
    return tuple(
        SettingDifference(field, before.get(field), after.get(field))
        for field in sorted({*before, *after})
        if before.get(field) != after.get(field)
    )


def find_record(store: Store, reference: str) -> MixRecord:
    """Read the record of the version that a command names.

    Args:
        store: The store.
        reference: NAME, NAME@VERSION, or VERSION where the store holds one mix.

    Returns:
        The record.

    Raises:
        StoreError: The store holds no such mix or version, or its record cannot be read.
    """
    name, _, version = reference.partition("@")
    if not version and name not in store.list(MIXES_FOLDER):
        names = store.list(MIXES_FOLDER)
        if len(names) == 1:
            return read_mix(store, names[0], name)
        choices = ", ".join(names) or "none"
        raise StoreError(f"{store.url}: found no mix {name!r}; expected NAME or NAME@VERSION of one of: {choices}")
    return read_mix(store, name, version or None)
