"""Formats of `olmix evidence export`: how rows of the ledger are written for other programs.

A module adds a format: it defines EXPORTER, an `EvidenceExporter`. The command line imports all
modules, so they import slow packages inside functions.
"""

from collections.abc import Mapping

from olmix_core.interop.exporters.discovery import exporter_modules
from olmix_core.interop.exporters.evidence.base import EvidenceExporter

EVIDENCE_EXPORTERS: Mapping[str, EvidenceExporter] = {
    module.EXPORTER.name: module.EXPORTER for module in exporter_modules(__name__, __path__)
}

__all__ = ["EVIDENCE_EXPORTERS", "EvidenceExporter"]
