"""Files of a store in a folder."""

from pathlib import Path

from olmix_core.storage.store import Store


def first_file(store: Store, pattern: str) -> Path:
    """The first file that a pattern matches, in alphabetical order."""
    return sorted(Path(store.root).glob(pattern))[0]
