"""Look-up of the mix that a command is about: by name, by configuration, or in a folder that `olmix fit` wrote."""

from pathlib import Path

from olmix_core.config.load import load_config
from olmix_core.mixes.loading import load, load_folder
from olmix_core.mixes.published_mix import PublishedMix
from olmix_core.mixes.versions import only_mix
from olmix_core.storage.layout import RECORD_FILE
from olmix_core.storage.store import Store


def open_store(url: str) -> Store:
    """Open a store.

    Args:
        url: Its URL or path.

    Returns:
        The store.

    Raises:
        StoreError: If it cannot be reached.
    """
    store = Store(url)
    store.check_reachable()
    return store


def store_and_name(name: str | None, store_url: str) -> tuple[Store, str]:
    """Find the mix that a command is about.

    Args:
        name: Name of a mix, or path of its configuration; None for the only mix of the store.
        store_url: The store, unless `name` is a configuration.

    Returns:
        The store, and the name of the mix.

    Raises:
        StoreError: If the store cannot be reached, or `name` is None and the store does not hold one mix.
    """
    if name is not None and name.endswith((".yaml", ".yml")):
        config = load_config(name)
        return open_store(config.store), config.name
    store = open_store(store_url)
    return store, name or only_mix(store)


def find_mix(name: str | None, store_url: str, version: str | None) -> PublishedMix:
    """Read a published mix, or the folder that `olmix fit` wrote.

    Args:
        name: Name of a mix, path of its configuration or of a folder; None for the only mix of the store.
        store_url: The store, unless `name` is a configuration or a folder.
        version: A version; None for the latest.

    Returns:
        The mix.

    Raises:
        OlmixError: If there is no such mix.
    """
    if name is not None and (Path(name) / RECORD_FILE).is_file():
        return load_folder(name)
    store, mix_name = store_and_name(name, store_url)
    return load(store, mix_name, version)
