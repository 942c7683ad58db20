"""Which mix a command means: by its name, its configuration, or a folder that `olmix fit` wrote."""

from pathlib import Path

from olmix_core.config.load import load_config
from olmix_core.errors import OlmixError
from olmix_core.mixes.published_mix import PublishedMix, load, load_folder
from olmix_core.storage.layout import MIXES_FOLDER, RECORD_FILE
from olmix_core.storage.store import Store


def open_store(url: str) -> Store:
    """The store, once its server was found to answer. Raises StoreError."""
    opened = Store(url)
    opened.check_reachable()
    return opened


def store_and_name(name: str | None, store: str) -> tuple[Store, str]:
    """The opened store, and the name of the mix. Raises OlmixError where it could be several."""
    if name is not None and name.endswith((".yaml", ".yml")):
        loaded = load_config(name)
        return open_store(loaded.store), loaded.name
    opened = open_store(store)
    if name is None:
        names = opened.list(MIXES_FOLDER)
        if len(names) != 1:
            found = ", ".join(names) or "none"
            raise OlmixError(f"{store}: found the mixes: {found}; expected one, or the NAME of the one that is meant")
        name = names[0]
    return opened, name


def find_mix(name: str | None, store: str, version: str | None) -> PublishedMix:
    """The mix read back. Raises OlmixError."""
    if name is not None and (Path(name) / RECORD_FILE).is_file():
        return load_folder(name)
    opened, found = store_and_name(name, store)
    return load(opened, found, version)
