"""Versions of the mixes in a store: which there are, which is the latest, and the record of one."""

import re

from olmix_core.errors import StoreError
from olmix_core.mixes.record import MixRecord, as_mix, parse_record
from olmix_core.storage.layout import (
    MIXES_FOLDER,
    RECORD_FILE,
    latest_path,
    mix_folder,
    published_versions,
    version_path,
)
from olmix_core.storage.store import Store


def latest_version(store: Store, name: str) -> str | None:
    """Look up the version that was published last.

    Args:
        store: The store.
        name: Name of the mix.

    Returns:
        The version; None where there is none.

    Raises:
        StoreError: The store cannot be read.
    """
    try:
        return str(store.read_json(latest_path(name))["version"])
    except FileNotFoundError:
        return None


def read_mix(store: Store, name: str, version: str | None = None) -> MixRecord:
    """Read the record of a version.

    Args:
        store: The store.
        name: Name of the mix.
        version: The version, by default the latest.

    Returns:
        The record.

    Raises:
        StoreError: There is no such version, or its record cannot be read.
    """
    version = version or latest_version(store, name)
    if version is None:
        names = ", ".join(store.list(MIXES_FOLDER)) or "none"
        raise StoreError(f"{store.url}: found no mix called {name!r}; expected one of: {names}")
    path = version_path(name, version, RECORD_FILE)
    try:
        return as_mix(parse_record(store.read_json(path), store.place(path)), store.place(path))
    except FileNotFoundError as error:
        versions = ", ".join(published_versions(store.list(mix_folder(name)))) or "none"
        raise StoreError(
            f"{store.url}: mix {name!r} has no version {version!r}; expected one of: {versions}"
        ) from error


def only_mix(store: Store) -> str:
    """Look up the name of the mix of a store that holds one.

    Args:
        store: The store.

    Returns:
        The name.

    Raises:
        StoreError: If it holds none or several.
    """
    names = store.list(MIXES_FOLDER)
    if len(names) != 1:
        listing = ", ".join(names) or "none"
        raise StoreError(f"{store.url}: found the mixes: {listing}; expected one, or the name of one of them")
    return names[0]


def read_latest(store: Store, name: str) -> MixRecord | None:
    """Read the record of the latest version.

    Args:
        store: The store.
        name: Name of the mix.

    Returns:
        The record; None where nothing was published under this name.

    Raises:
        StoreError: The record cannot be read.
    """
    version = latest_version(store, name)
    return None if version is None else read_mix(store, name, version)


def next_version(store: Store, name: str) -> str:
    """Name the version that is published next.

    Args:
        store: The store.
        name: Name of the mix.

    Returns:
        The version.

    Raises:
        StoreError: The store cannot be read.
    """
    return f"v{number_of(latest_version(store, name)) + 1:04d}"


def number_of(version: str | None) -> int:
    """Read the number in the name of a version.

    Args:
        version: A version, such as v0001, or None.

    Returns:
        The number; 0 for None.

    Raises:
        StoreError: It is no name of a version.
    """
    match = re.fullmatch(r"v(\d+)", version or "v0")
    if match is None:
        raise StoreError(f"found the mix version {version!r}; expected v and a number")
    return int(match.group(1))
