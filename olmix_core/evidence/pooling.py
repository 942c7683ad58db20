"""What a run learns from beside its own swarm: the evidence of the versions it builds on, and of the whole ledger.

The *lineage* is what earlier versions of the mix trained: their proxies are measured on tasks that are new since. The
*pool*, under strategy `auto`, is every other row of the ledger that speaks of the same thing; it counts as it is on
record. A published version pins its pool, and a run that asks the same again takes what was pinned, however much the
ledger has grown since: so a second run finds everything done.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from olmix_core.evidence import ledger
from olmix_core.evidence.compatibility import NEEDED, RECIPE, TOKENIZER, Requirements, select_compatible
from olmix_core.evidence.rows import NOT_OURS, EvidenceRow, from_table, recipe_key
from olmix_core.identity import digest
from olmix_core.storage.store import Store


@dataclass(frozen=True)
class VersionEvidence:
    """Proxies of earlier versions, made with the recipe and tokenizer of today, with the BPB on record.

    rows: ids of the rows that say so. left_out: number of proxies not used, by reason.
    """

    proxies: tuple[EvidenceRow, ...] = ()
    rows: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PinnedPool:
    """What a published version keeps of its pool.

    asked: digest of what it was chosen for. evidence: name of the set of its rows, None where it is empty. left_out:
    {reason: proxies of the ledger not used}.
    """

    asked: str = ""
    evidence: str | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class LedgerSelection:
    """Further evidence of the ledger.

    asked: digest of what it was chosen for. evidence: name of the set of its rows, None where it is empty. proxies:
    how many, and the contents they trained on. left_out: proxies of the ledger not used, by reason.
    later: proxies that could be used too, but were recorded after the pool was pinned.
    """

    asked: str = ""
    evidence: str | None = None
    rows: tuple[str, ...] = ()
    proxies: int = 0
    contents: frozenset[str] = frozenset()
    left_out: Mapping[str, int] = field(default_factory=dict)
    later: int = 0

    def pin(self) -> PinnedPool:
        """The part of it that a published version keeps."""
        return PinnedPool(self.asked, self.evidence, self.left_out)


@dataclass(frozen=True)
class PinnedEvidence:
    """The sets of rows of a published version: `evidence`, and `pooled`, the part of it that came from the pool."""

    evidence: str
    pooled: str | None = None


def evidence_of_versions(
    store: Store, base: PinnedEvidence, recipe: Mapping[str, Any], tokenizer: str, evaluation: int
) -> VersionEvidence:
    """The evidence of a published version, but for what it had from the pool. Raises StoreError."""
    table = ledger.pinned(store, base.evidence)
    if base.pooled is not None:
        pooled = ledger.of_set(store, base.pooled, table)
        table = table.filter(pc.invert(pc.is_in(table["proxy"], value_set=pooled["proxy"].combine_chunks())))
    key = recipe_key(recipe)
    found: dict[str, EvidenceRow] = {}
    used: list[str] = []
    unusable: dict[str, str] = {}
    for row in sorted(from_table(table), key=lambda row: (row.recorded, row.id)):
        if recipe_key(row.recipe) != key:
            unusable[row.proxy] = RECIPE
        elif row.tokenizer != tokenizer:
            unusable[row.proxy] = TOKENIZER
        else:
            first = found.setdefault(row.proxy, replace(row, bpb={}))
            if row.evaluation in (evaluation, NOT_OURS):
                found[row.proxy] = replace(first, bpb={**row.bpb, **first.bpb})
                used.append(row.id)
    left_out = dict(sorted(Counter(unusable.values()).items()))
    return VersionEvidence(tuple(found[proxy] for proxy in sorted(found)), tuple(sorted(used)), left_out)


def select_from_ledger(
    store: Store,
    apart_from: Collection[str],
    batch: str,
    wanted: Requirements,
    also_asked: Any,
    pinned: Sequence[PinnedPool],
) -> LedgerSelection:
    """Choose what else of the ledger is usable.

    apart_from: proxies that the run has already; batch: the swarm that it makes, "" for none. also_asked: what else the
    choice is made for (plain JSON); with `wanted` and the imports it decides whether one of the `pinned` pools, of
    earlier versions, is taken again.
    Raises StoreError.
    """
    table = ledger.read(store, NEEDED)
    table = table.filter(pc.invert(pc.is_in(table["proxy"], value_set=pa.array(sorted(apart_from), pa.string()))))
    if batch:
        table = table.filter(pc.not_equal(table["swarm"], batch))
    choice = select_compatible(table, wanted)
    usable = choice.usable
    imports = usable.table.filter(usable.table["imported"])["row"].to_pylist()
    asked = digest(
        {
            "recipe": wanted.recipe_key,
            "tokenizer": wanted.tokenizer,
            "evaluation": wanted.evaluation,
            "tasks": sorted(wanted.tasks),
            "contents": sorted(wanted.contents),
            "imports": sorted(imports),
            "also": also_asked,
        }
    )
    earlier = next((pool for pool in pinned if pool.asked == asked), None)
    left_out, possible = choice.left_out, set(usable.proxies)
    if earlier is not None:
        left_out = earlier.left_out
        rows = table.slice(0, 0) if earlier.evidence is None else ledger.of_set(store, earlier.evidence, table)
        usable = select_compatible(rows, wanted).usable
    ids = usable.table["row"].to_pylist()
    return LedgerSelection(
        asked=asked,
        evidence=ledger.set_name(ids) if ids else None,
        rows=tuple(sorted(ids)),
        proxies=len(usable),
        contents=usable.contents(),
        left_out=left_out,
        later=len(possible - set(usable.proxies)),
    )
