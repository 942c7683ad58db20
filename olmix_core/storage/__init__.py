"""The store: everything that a run leaves behind, in one folder on a disk or an object store.

In go paths relative to the store, bytes and JSON; out come checked contents, or `DamageError` for a file that is not
what was written. `layout` spells every path. Input files outside of the store are listed (`expand`), opened
(`open_file`) and identified by content (`ContentIndex`) here as well. Credentials are taken from the environment only.
"""

from olmix_core.storage import layout
from olmix_core.storage.conditional_writes import advance, create_exclusive
from olmix_core.storage.content_index import ContentIndex
from olmix_core.storage.filesystem import open_file
from olmix_core.storage.integrity import checksum, seal, unseal
from olmix_core.storage.listing import ListedFile, expand
from olmix_core.storage.store import Store

__all__ = [
    "ContentIndex",
    "ListedFile",
    "Store",
    "advance",
    "checksum",
    "create_exclusive",
    "expand",
    "layout",
    "open_file",
    "seal",
    "unseal",
]
