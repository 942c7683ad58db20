"""Input formats: a registry in which each module of this folder adds one.

A module describes its format (suffixes, how documents are read, how much text a byte holds) as a `TextFormat` or a
`TokenFormat` and calls `register`. Everything else asks the registry: listing, the checks before a run, the estimates
of a dry run, the starter configuration. To add a format, add a module here and describe it in docs/domains.md.
"""

import pkgutil
from importlib import import_module

from olmix_core.data.formats.registry import (
    Format,
    TextFormat,
    TokenFormat,
    formats,
    formats_at,
    suffix_of,
    suffixes,
    suffixes_in_words,
    text_bytes,
)

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = [
    "Format",
    "TextFormat",
    "TokenFormat",
    "formats",
    "formats_at",
    "suffix_of",
    "suffixes",
    "suffixes_in_words",
    "text_bytes",
]
