"""Step `evidence`: one per set of rows. Key: what the rows say, and which of them are from the pool."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from olmix_core.evidence import ledger
from olmix_core.evidence.rows import EvidenceRow
from olmix_core.serialization import JsonRecord
from olmix_core.storage.layout import evidence_set_path
from olmix_core.storage.store import Store
from tasks.runtime.artifacts import Artifacts, Done
from tasks.runtime.payload import DATA, cause, result_of
from tasks.runtime.step import step


@dataclass(frozen=True)
class EvidencePayload(JsonRecord):
    """The names of two sets of rows: all that are fitted to, and those of them that are from the pool."""

    rows: str = field(metadata=result_of("evaluate"))
    pool: str | None = field(metadata=cause(DATA))


@dataclass(frozen=True)
class EvidenceResult(JsonRecord):
    """The name of the set of rows to fit to, and its file."""

    evidence: str
    files: dict[str, str | None]


def _describe(done: Sequence[Done[EvidencePayload, EvidenceResult]], _artifacts: Artifacts) -> list[str]:
    [outcome] = done
    added, carried, pooled = (len(outcome.where[name]) for name in ("added", "carried", "pooled"))
    return [
        f"{added} rows measured in this run, {carried} carried over, of them {pooled} of other swarms."
        f" What the law is fitted to: `{evidence_set_path(outcome.result.evidence)}`"
    ]


@step(
    "evidence",
    2,
    title="put the results on record",
    after="evaluate",
    payload=EvidencePayload,
    result=EvidenceResult,
    artifact=_describe,
)
def evidence(
    _payload: EvidencePayload,
    store: Store,
    *,
    added: Sequence[EvidenceRow],
    carried: Sequence[str],
    pooled: Sequence[str],
) -> EvidenceResult:
    """Append what was measured to the ledger, and pin the rows to fit to.

    Args:
        store: The store.
        added: Rows that were measured in this run.
        carried: Ids of rows that are carried over.
        pooled: Those of them that are not of earlier versions of the mix.

    Returns:
        The set of rows to fit to.
    """
    ledger.append(store, added)
    if pooled:
        ledger.pin(store, pooled)
    name = ledger.pin(store, {*carried, *(row.id for row in added)})
    return EvidenceResult(name, {evidence_set_path(name): None})
