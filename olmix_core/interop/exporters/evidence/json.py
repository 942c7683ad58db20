"""Evidence as a JSON file: a record per row of the ledger, columns as in docs/store.md."""

import json
from dataclasses import fields
from typing import TYPE_CHECKING

from olmix_core.interop.exporters.evidence.base import EVIDENCE_EXPORTERS, EvidenceExporter

if TYPE_CHECKING:
    from olmix_core.evidence.merge import MergedEvidence
    from olmix_core.storage.store import Store

_FILE = "evidence.json"


def _write(evidence: "MergedEvidence", folder: "Store") -> list[str]:
    from olmix_core.evidence.rows import from_table

    records = [
        {
            "row": row.id,
            **{field.name: getattr(row, field.name) for field in fields(row)},
            "recorded": row.recorded.isoformat(),
        }
        for row in sorted(from_table(evidence.table), key=lambda row: (row.proxy, row.id))
    ]
    folder.write_bytes(_FILE, json.dumps(records, indent=1, allow_nan=False).encode())
    return [_FILE]


EVIDENCE_EXPORTERS.register(EvidenceExporter("json", "all columns of the ledger", _write))
