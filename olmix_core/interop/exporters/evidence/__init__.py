"""Formats of `olmix evidence export`: how rows of the ledger are written for other programs.

A module adds a format: it registers an `EvidenceExporter` in `EVIDENCE_EXPORTERS`. The command line imports all
modules, so they import slow packages inside functions.
"""

from olmix_core.interop.exporters.evidence.base import EVIDENCE_EXPORTERS, EvidenceExporter
from olmix_core.registry import import_modules

import_modules(__name__, __path__)

__all__ = ["EVIDENCE_EXPORTERS", "EvidenceExporter"]
