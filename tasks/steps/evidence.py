"""Step `evidence`: one per set of rows. Key: what the rows say, and which of them are from the pool."""

from collections.abc import Sequence

from olmix_core.evidence import ledger
from olmix_core.evidence.rows import EvidenceRow
from olmix_core.storage.layout import evidence_set_path
from olmix_core.storage.store import Store
from tasks.runtime.step import Payload, Result, step


@step("evidence", code_version=2)
def evidence(
    payload: Payload, store: str, *, added: Sequence[EvidenceRow], carried: Sequence[str], pooled: Sequence[str]
) -> Result:
    """Append what was measured to the ledger, and pin the rows to fit to: those `added`, and those `carried` over.

    `pooled` are the rows among `carried` that are not of earlier versions of the mix. All but `added` are ids.
    """
    opened = Store(store)
    ledger.append(opened, added)
    if pooled:
        ledger.pin(opened, pooled)
    name = ledger.pin(opened, {*carried, *(row.id for row in added)})
    return {"evidence": name, "files": {evidence_set_path(name): None}}
