"""Selection of evidence beside the swarm of a run: from the versions it builds on, and from the whole ledger.

`VersionEvidence` holds the proxies of earlier versions of the mix, which are measured on tasks that are new since. The
*pool*, a `LedgerSelection` made under strategy `auto`, holds all other compatible rows of the ledger as they are on
record. A published version pins its pool. A run with the same request takes the pinned pool, however much the ledger
has grown, so that a second run finds all results cached.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
import pydantic

from olmix_core.evidence import ledger
from olmix_core.evidence.compatibility import NEEDED, RECIPE, TASK_TEXT, TOKENIZER, Requirements, select_compatible
from olmix_core.evidence.rows import NOT_OURS, EvidenceRow, from_table, recipe_key
from olmix_core.evidence.task_text import NO_TASK_TEXT, TaskText
from olmix_core.identity import digest
from olmix_core.serialization import JsonRecord, Scalar
from olmix_core.storage.store import Store


@dataclass(frozen=True)
class VersionEvidence:
    """Evidence of earlier versions.

    Attributes:
        proxies: One row for each proxy with the current recipe and tokenizer, with all its BPB on record.
        rows: Ids of the rows that hold these BPB.
        left_out: {reason: number of proxies not used}.
    """

    proxies: tuple[EvidenceRow, ...] = ()
    rows: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PinnedPool:
    """The pool of a published version, as its record keeps it.

    Attributes:
        query_digest: Digest of the request that the rows were selected for.
        evidence: Name of the set of the rows, None where there are none.
        left_out: {reason: number of proxies not used}.
    """

    query_digest: Annotated[str, pydantic.Field(alias="asked")] = ""  # `asked` in mix.json
    evidence: str | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RunIdentity(JsonRecord):
    """What a request depends on beside its requirements; part of its stored digest.

    Attributes:
        leaves: Fingerprints of the leaves of the run.
        swarm: Keys of the proxies of its swarm.
        lineage: Ids of the rows of earlier versions that it uses.
    """

    leaves: Sequence[str]
    swarm: Sequence[str]
    lineage: Sequence[str]


@dataclass(frozen=True)
class LedgerSelection:
    """Compatible rows of the ledger that are neither of the swarm of the run nor of earlier versions.

    Attributes:
        query_digest: Digest of the request that the rows were selected for.
        evidence: Name of the set of the rows, None where there are none.
        rows: Ids of the rows.
        proxies: Number of proxies.
        contents: Content that the proxies trained on.
        left_out: {reason: number of proxies not used}.
        later: Number of compatible proxies that were recorded after the pool was pinned.
    """

    query_digest: str = ""
    evidence: str | None = None
    rows: tuple[str, ...] = ()
    proxies: int = 0
    contents: frozenset[str] = frozenset()
    left_out: Mapping[str, int] = field(default_factory=dict)
    later: int = 0

    def pin(self) -> PinnedPool:
        """Reduce the selection to what a published version keeps.

        Returns:
            The pinned pool.
        """
        return PinnedPool(self.query_digest, self.evidence, self.left_out)


@dataclass(frozen=True)
class PinnedEvidence:
    """The sets of rows of a published version.

    Attributes:
        evidence: Name of the set that its law was fitted to.
        pooled: Name of the part of that set that came from the pool, None where there is none.
    """

    evidence: str
    pooled: str | None = None


def evidence_of_versions(
    store: Store,
    base: PinnedEvidence,
    recipe: Mapping[str, Scalar],
    tokenizer: str,
    evaluation: int,
    task_text: TaskText = NO_TASK_TEXT,
) -> VersionEvidence:
    """Read the evidence of a published version and of those before it, without its pool.

    Args:
        store: The store.
        base: Sets of rows of the version.
        recipe: The current recipe (`ProxyRecipe.identity`).
        tokenizer: Fingerprint of the current tokenizer.
        evaluation: Code_version of the current evaluation.
        task_text: Text of tasks in leaves. Proxies that were measured on text that they trained on are left out.

    Returns:
        The evidence.

    Raises:
        StoreError: A row is no longer on record, or a file is damaged.
    """
    table = ledger.pinned(store, base.evidence)
    if base.pooled is not None:
        pooled = ledger.of_set(store, base.pooled, table)
        table = table.filter(pc.invert(pc.is_in(table["proxy"], value_set=pooled["proxy"].combine_chunks())))
    key = recipe_key(recipe)
    merged: dict[str, EvidenceRow] = {}
    used: dict[str, str] = {}  # {row: proxy}
    unusable: dict[str, str] = {}
    for row in sorted(from_table(table), key=lambda row: (row.recorded, row.id)):
        if recipe_key(row.recipe) != key:
            unusable[row.proxy] = RECIPE
        elif row.tokenizer != tokenizer:
            unusable[row.proxy] = TOKENIZER
        else:
            first = merged.setdefault(row.proxy, replace(row, bpb={}))
            if row.evaluation in (evaluation, NOT_OURS):
                merged[row.proxy] = replace(first, bpb={**row.bpb, **first.bpb})
                used[row.id] = row.proxy
    spoiled = {proxy for proxy, row in merged.items() if task_text.spoils(proxy, row.mixture, row.bpb)}
    left_out = dict(sorted(Counter([*unusable.values(), *(TASK_TEXT for _ in spoiled)]).items()))
    proxies = tuple(merged[proxy] for proxy in sorted(merged.keys() - spoiled))
    rows = tuple(sorted(row for row, proxy in used.items() if proxy not in spoiled))
    return VersionEvidence(proxies, rows, left_out)


def select_from_ledger(
    store: Store,
    excluded: Collection[str],
    batch: str,
    requirements: Requirements,
    run: RunIdentity,
    pinned: Sequence[PinnedPool],
) -> LedgerSelection:
    """Select compatible rows of the ledger, or take the pinned pool of the same request again.

    Args:
        store: The store.
        excluded: Keys of proxies that the run has already.
        batch: Key of the swarm of the run, whose proxies are left out; empty for none.
        requirements: The requirements on rows.
        run: What else the request depends on. Two requests are the same if their requirements, their runs and the
            compatible imported rows are.
        pinned: Pools of earlier versions.

    Returns:
        The selection.

    Raises:
        StoreError: The ledger cannot be read, or a pinned row is no longer on record.
    """
    table = ledger.read(store, NEEDED)
    table = table.filter(pc.invert(pc.is_in(table["proxy"], value_set=pa.array(sorted(excluded), pa.string()))))
    if batch:
        table = table.filter(pc.not_equal(table["swarm"], batch))
    compatible = select_compatible(table, requirements)
    usable = compatible.usable
    imports = usable.table.filter(usable.table["imported"])["row"].to_pylist()
    request = digest(
        {
            "recipe": requirements.recipe_key,
            "tokenizer": requirements.tokenizer,
            "evaluation": requirements.evaluation,
            "tasks": sorted(requirements.tasks),
            "contents": sorted(requirements.contents),
            "imports": sorted(imports),
            "also": run.to_json(),
        }
    )
    earlier = next((pool for pool in pinned if pool.query_digest == request), None)
    left_out, all_usable = compatible.left_out, set(usable.proxies)
    if earlier is not None:
        left_out = earlier.left_out
        rows = table.slice(0, 0) if earlier.evidence is None else ledger.of_set(store, earlier.evidence, table)
        usable = select_compatible(rows, requirements).usable
    ids = usable.table["row"].to_pylist()
    return LedgerSelection(
        query_digest=request,
        evidence=ledger.set_name(ids) if ids else None,
        rows=tuple(sorted(ids)),
        proxies=len(usable),
        contents=usable.contents(),
        left_out=left_out,
        later=len(all_usable - set(usable.proxies)),
    )
