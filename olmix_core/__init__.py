"""The method of Olmix: from domains of text to a data mixture. Never imports Prefect.

The public API is for notebooks (docs/notebook.md): `import olmix_core as olmix`. `olmix.load(store, name)` and
`olmix.load_folder(folder)` read a published mix, an `olmix.PublishedMix`, to look at, predict with and propose from;
`olmix.plot(mix, chart)` draws a chart of its report; `olmix.read_mixture(path)` reads a mixture. docs/development.md
describes the packages.
"""

from typing import TYPE_CHECKING

from olmix_core.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from olmix_core.interop.mixture_file import read_mixture as read_mixture
    from olmix_core.mixes.loading import load as load
    from olmix_core.mixes.loading import load_folder as load_folder
    from olmix_core.mixes.published_mix import PublishedMix as PublishedMix
    from olmix_core.report.charts import plot as plot

__all__ = ["PublishedMix", "load", "load_folder", "plot", "read_mixture"]

# These modules take about a second to import.
__getattr__ = lazy_attributes(
    __name__,
    {
        "PublishedMix": "mixes.published_mix",
        "load": "mixes.loading",
        "load_folder": "mixes.loading",
        "plot": "report.charts",
        "read_mixture": "interop.mixture_file",
    },
)


def __dir__() -> list[str]:
    return __all__
