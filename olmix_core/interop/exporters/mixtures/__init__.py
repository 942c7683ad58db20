"""Formats of `olmix swarm export`: how one mixture is written for a trainer of another project.

A module adds a format: it defines EXPORTER, a `MixtureExporter`. The command line imports all
modules, so they import slow packages inside functions.
"""

from collections.abc import Mapping

from olmix_core.interop.exporters.discovery import exporter_modules
from olmix_core.interop.exporters.mixtures.base import MixtureExporter, SwarmExport

MIXTURE_EXPORTERS: Mapping[str, MixtureExporter] = {
    module.EXPORTER.name: module.EXPORTER for module in exporter_modules(__name__, __path__)
}

__all__ = ["MIXTURE_EXPORTERS", "MixtureExporter", "SwarmExport"]
