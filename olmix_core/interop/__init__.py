"""Files of other programs: those of the published tool (allenai/olmix), and of trainers.

`fit_published` fits and proposes from the published tool's configuration and CSV files, and writes a folder like that
of a published mix. `import_swarm` reads a swarm that was run elsewhere as rows of evidence. `export_evidence` and
`export_mixtures` write evidence and mixtures in the formats of `exporters`. `read_mixture` reads one mixture.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from olmix_core.interop.export import export_evidence as export_evidence
    from olmix_core.interop.export import export_mixtures as export_mixtures
    from olmix_core.interop.fit import PublishedFit as PublishedFit
    from olmix_core.interop.fit import fit_published as fit_published
    from olmix_core.interop.mixture_file import read_mixture as read_mixture
    from olmix_core.interop.swarm_csv import read_swarm as read_swarm
    from olmix_core.interop.swarm_import import import_swarm as import_swarm

_MODULES = {
    "PublishedFit": "fit",
    "export_evidence": "export",
    "export_mixtures": "export",
    "fit_published": "fit",
    "import_swarm": "swarm_import",
    "read_mixture": "mixture_file",
    "read_swarm": "swarm_csv",
}

__all__ = [
    "PublishedFit",
    "export_evidence",
    "export_mixtures",
    "fit_published",
    "import_swarm",
    "read_mixture",
    "read_swarm",
]


def __getattr__(name: str) -> object:
    # Imported lazily: the command line lists the exporters, and charts and solvers take a second to import.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
