"""The published mix that a run builds on, and what happened to the domain set since."""

from dataclasses import dataclass

from olmix_core.config.config import Config
from olmix_core.data.domain_diff import DomainDiff, diff_domains
from olmix_core.evidence.pooling import PinnedPool
from olmix_core.mixes.record import MixRecord, latest_version, read_mix
from olmix_core.planning.preflight import ResolvedInputs
from olmix_core.storage.store import Store


@dataclass(frozen=True)
class Base:
    """The mix that is built on: the last one, or, if the domain set is still its own, the one that it built on.

    pools: what the versions since then, of this very domain set, pinned of the ledger.
    """

    record: MixRecord | None
    change: DomainDiff | None
    pools: tuple[PinnedPool, ...] = ()

    @property
    def origins(self) -> dict[str, list[str]]:
        """{leaf: the leaves that its content comes from}, of all changes up to now."""
        found = {leaf: list(old) for leaf, old in self.record.origins.items()} if self.record else {}
        if self.change is not None:
            found |= {leaf: sorted(old) for leaf, old in self.change.origins.items()}
        return found

    @property
    def splits(self) -> dict[str, dict[str, float]]:
        return dict(self.record.splits) if self.record else {}


def find_base(config: Config, inputs: ResolvedInputs) -> Base:
    """Which published mix the plan builds on, and what changed since."""
    store = Store(config.store)
    version = latest_version(store, config.name)
    pools: list[PinnedPool] = []
    while version is not None:
        record = read_mix(store, config.name, version)
        change = diff_domains(record.old_leaves, inputs.domains)
        if not change.is_empty:
            return Base(record, change, tuple(pools))
        pools.append(record.pool)
        # The same leaves: what was planned for them stays, so that a second run finds everything done.
        while record.parent is not None and record.parent != record.base:
            record = read_mix(store, config.name, record.parent)
            pools.append(record.pool)
        version = record.base
    return Base(None, None, tuple(pools))
