"""Files of other programs: those of the published tool (allenai/olmix), and of trainers.

`fit_published` fits and proposes from the published tool's configuration and CSV files, and writes a folder like that
of a published mix. `import_swarm` reads a swarm that was run elsewhere as rows of evidence. `export_evidence` and
`export_mixtures` write evidence and mixtures in the formats of `exporters`. `read_mixture` reads one mixture.
"""

from typing import TYPE_CHECKING

from olmix_core.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from olmix_core.interop.export import export_evidence as export_evidence
    from olmix_core.interop.export import export_mixtures as export_mixtures
    from olmix_core.interop.fit import PublishedFit as PublishedFit
    from olmix_core.interop.fit import fit_published as fit_published
    from olmix_core.interop.mixture_file import read_mixture as read_mixture
    from olmix_core.interop.swarm_csv import read_swarm as read_swarm
    from olmix_core.interop.swarm_import import import_swarm as import_swarm

__all__ = [
    "PublishedFit",
    "export_evidence",
    "export_mixtures",
    "fit_published",
    "import_swarm",
    "read_mixture",
    "read_swarm",
]

# The command line lists the exporters, and charts and solvers take a second to import.
__getattr__ = lazy_attributes(
    __name__,
    {
        "PublishedFit": "fit",
        "export_evidence": "export",
        "export_mixtures": "export",
        "fit_published": "fit",
        "import_swarm": "swarm_import",
        "read_mixture": "mixture_file",
        "read_swarm": "swarm_csv",
    },
)
