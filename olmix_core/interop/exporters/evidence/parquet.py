"""Evidence as a parquet file, with all columns of the ledger."""

from typing import TYPE_CHECKING

from olmix_core.interop.exporters.evidence.base import EVIDENCE_EXPORTERS, EvidenceExporter

if TYPE_CHECKING:
    from olmix_core.evidence.merge import MergedEvidence
    from olmix_core.storage.store import Store

_FILE = "evidence.parquet"


def _write(evidence: "MergedEvidence", folder: "Store") -> list[str]:
    import pyarrow.parquet as pq

    from olmix_core.evidence.ledger_files import WRITING

    with folder.new_file(_FILE) as temporary:
        pq.write_table(evidence.table.sort_by([("proxy", "ascending"), ("row", "ascending")]), temporary, **WRITING)
    return [_FILE]


EVIDENCE_EXPORTERS.register(EvidenceExporter("parquet", "all columns of the ledger", _write))
