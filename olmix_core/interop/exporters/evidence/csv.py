"""Evidence as the two CSV files of the published tool, with a map to read them back."""

from typing import TYPE_CHECKING

from olmix_core.interop.exporters.evidence.base import EVIDENCE_EXPORTERS, EvidenceExporter

if TYPE_CHECKING:
    from olmix_core.evidence.merge import MergedEvidence
    from olmix_core.storage.store import Store


def _write(evidence: "MergedEvidence", folder: "Store") -> list[str]:
    from olmix_core.interop.csv_pair import csv_pair

    files = csv_pair(evidence)
    for name, content in files.items():
        folder.write_bytes(name, content)
    return list(files)


EVIDENCE_EXPORTERS.register(EvidenceExporter("csv", "ratios.csv and metrics.csv of the published tool", _write))
