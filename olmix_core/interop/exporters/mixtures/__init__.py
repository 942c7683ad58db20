"""Formats of `olmix swarm export`: how one mixture is written for a trainer of another project.

A module adds a format: it registers a `MixtureExporter` in `MIXTURE_EXPORTERS`. The command line imports all modules,
so they import slow packages inside functions.
"""

from olmix_core.interop.exporters.mixtures.base import MIXTURE_EXPORTERS, MixtureExporter, SwarmExport
from olmix_core.registry import import_modules

import_modules(__name__, __path__)

__all__ = ["MIXTURE_EXPORTERS", "MixtureExporter", "SwarmExport"]
