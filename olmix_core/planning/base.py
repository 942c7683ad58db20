"""The base: the published mix that a run builds on, and how the domain set changed since."""

from dataclasses import dataclass

from olmix_core.data.domain_diff import DomainDiff, diff_domains
from olmix_core.data.domains import DomainSet
from olmix_core.evidence.pooling import PinnedPool
from olmix_core.mixes.record import MixRecord
from olmix_core.mixes.versions import latest_version, read_mix
from olmix_core.storage.store import Store


@dataclass(frozen=True)
class Base:
    """The last mix of another domain set.

    Attributes:
        record: Its record; None where there is no such mix.
        change: How the domain set changed since; None where there is no such mix.
        pools: The evidence pinned by later versions, all of the current domain set.
    """

    record: MixRecord | None
    change: DomainDiff | None
    pools: tuple[PinnedPool, ...] = ()

    @property
    def origins(self) -> dict[str, list[str]]:
        """{leaf: leaves that its content comes from}, of all changes so far."""
        origins = {leaf: list(old) for leaf, old in self.record.origins.items()} if self.record else {}
        if self.change is not None:
            origins |= {leaf: sorted(old) for leaf, old in self.change.origins.items()}
        return origins

    @property
    def splits(self) -> dict[str, dict[str, float]]:
        """How leaves are written in atoms, of all changes before the last."""
        return dict(self.record.splits) if self.record else {}


def find_base(store: Store, name: str, domains: DomainSet) -> Base:
    """Find the published mix that a plan builds on.

    While the domain set stays the same, every version builds on the same mix, so that a second run finds everything
    cached.

    Args:
        store: The store.
        name: Name of the mix.
        domains: The current leaves.

    Returns:
        The base; without a record where no mix of another domain set was published.

    Raises:
        StoreError: A record cannot be read.
        DataError: `partition_of` does not fit the last mix.
    """
    version = latest_version(store, name)
    pools: list[PinnedPool] = []
    while version is not None:
        record = read_mix(store, name, version)
        change = diff_domains(record.old_leaves, domains)
        if not change.is_empty:
            return Base(record, change, tuple(pools))
        pools.append(record.pool)
        # The same leaves: go back over the versions that share this one's base.
        while record.parent is not None and record.parent != record.base:
            record = read_mix(store, name, record.parent)
            pools.append(record.pool)
        version = record.base
    return Base(None, None, tuple(pools))
