"""Exporters: formats in which mixtures and evidence are written for other programs.

`mixtures` holds those of `olmix swarm export`, `evidence` those of `olmix evidence export`. A module of either package
adds a format: it registers an exporter, and the command line offers it. docs/cli.md documents each.
"""

from olmix_core.interop.exporters.evidence import EVIDENCE_EXPORTERS, EvidenceExporter
from olmix_core.interop.exporters.mixtures import MIXTURE_EXPORTERS, MixtureExporter, SwarmExport

__all__ = ["EVIDENCE_EXPORTERS", "MIXTURE_EXPORTERS", "EvidenceExporter", "MixtureExporter", "SwarmExport"]
