"""The method of Olmix: from domains of text to a data mixture. Never imports Prefect.

In a notebook, `import olmix_core as olmix`: `olmix.load(store, name)` and `olmix.load_folder(folder)` give a published
mix (`olmix.PublishedMix`) to look at, predict with, propose from and plot; `olmix.read_mixture(path)` reads a mixture.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from olmix_core.mixes import PublishedMix as PublishedMix
    from olmix_core.mixes import load as load
    from olmix_core.mixes import load_folder as load_folder
    from olmix_core.mixture_file import read_mixture as read_mixture

_PUBLIC = {"PublishedMix": "mixes", "load": "mixes", "load_folder": "mixes", "read_mixture": "mixture_file"}

__all__ = ["PublishedMix", "load", "load_folder", "read_mixture"]


def __getattr__(name: str) -> Any:
    # What stands behind these takes a second to import, which who only wants one module should not pay.
    if name not in _PUBLIC:
        raise AttributeError(f"module 'olmix_core' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"olmix_core.{_PUBLIC[name]}"), name)
