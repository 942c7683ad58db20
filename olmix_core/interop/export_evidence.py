"""`olmix evidence export`: evidence as files for other programs. The formats are in `exporters.evidence`."""

from pathlib import Path

from olmix_core.evidence.merge import MergedEvidence
from olmix_core.interop.exporters.evidence import EvidenceExporter
from olmix_core.storage.store import Store


def export_evidence(evidence: MergedEvidence, folder: Path, exporter: EvidenceExporter) -> list[str]:
    """Write evidence to a folder.

    Args:
        evidence: The evidence.
        folder: The folder to write; files of the same names are replaced.
        exporter: Format of the files.

    Returns:
        Names of the files.

    Raises:
        DataError: If the format cannot hold the evidence.
        StoreError: If the folder cannot be written.
    """
    return exporter.write(evidence, Store(str(folder.resolve())))
