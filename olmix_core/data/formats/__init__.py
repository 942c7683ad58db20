"""Input formats: a registry in which each module of this folder adds one.

A module describes its format (suffixes, how documents are read, how much text a byte holds) as a `TextFormat` or a
`TokenFormat` and registers it in `FORMATS`. Everything else asks the registry: listing, the checks before a run, the
estimates of a dry run, the starter configuration. To add a format, add a module here and its row in the
table of docs/domains.md: | `name` | suffixes | compressed: yes or no | `description` | `refused` |. The smallest
example is `text`.
"""

from olmix_core.data.formats.registry import (
    FORMATS,
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
from olmix_core.registry import import_modules

import_modules(__name__, __path__)

__all__ = [
    "FORMATS",
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
