"""Load a published mix, or a folder that `olmix fit` wrote.

load(store, name)    the latest version of a mix in a store        load_folder(folder)    a fit of files
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from olmix_core.errors import StoreError
from olmix_core.evidence.atoms import in_atoms
from olmix_core.mixes.history import VersionSummary, read_history
from olmix_core.mixes.published_mix import PublishedMix
from olmix_core.mixes.record import FitRecord, MixRecord, parse_record
from olmix_core.mixes.runs import from_parquet
from olmix_core.mixes.tables import read_labelled, read_table
from olmix_core.mixes.versions import only_mix, read_mix
from olmix_core.mixture import Array, LeafIndex
from olmix_core.storage.integrity import unseal, verify
from olmix_core.storage.layout import (
    DIAGNOSTICS_FILE,
    RECORD_FILE,
    RUNS_FILE,
    SURROGATE_FILE,
    TABLE_FILE,
    TARGET_FILE,
    TRADE_OFFS_FILE,
    version_folder,
)
from olmix_core.storage.store import Store
from olmix_core.surrogate.fit import load as load_surrogate
from olmix_core.surrogate.scaling.target_json import read_target

OPTIONAL_FILES = (TRADE_OFFS_FILE, TARGET_FILE)
FILES = (RECORD_FILE, TABLE_FILE, SURROGATE_FILE, RUNS_FILE, DIAGNOSTICS_FILE)


def load(store: str | Store = ".olmix", name: str | None = None, version: str | None = None) -> PublishedMix:
    """Load a version of a mix.

    Args:
        store: A store, or its folder or URL.
        name: Name of the mix; None where the store holds one mix.
        version: A version, by default the latest.

    Returns:
        The mix.

    Raises:
        StoreError: There is no such mix, or a file of it is missing or damaged.
    """
    store = store if isinstance(store, Store) else Store(store)
    name = name or only_mix(store)
    record = read_mix(store, name, version)
    return read_folder(store, version_folder(name, record.version), read_history(store, name, record.version))


def load_folder(folder: str | Path) -> PublishedMix:
    """Load the mix in a folder that `olmix fit` wrote.

    Args:
        folder: The folder.

    Returns:
        The mix.

    Raises:
        StoreError: A file of it is missing or damaged.
    """
    return read_folder(Store(str(folder)), "", ())


def read_folder(store: Store, folder: str, lineage: Sequence[VersionSummary]) -> PublishedMix:
    """Read the mix whose files are in a folder of a store.

    Args:
        store: The store.
        folder: The folder; empty for the store itself.
        lineage: The versions up to this one, oldest first.

    Returns:
        The mix.

    Raises:
        StoreError: A file of it is missing or damaged.
    """
    prefix = f"{folder}/" if folder else ""
    contents = {}
    for file in FILES:
        try:
            contents[file] = store.read_bytes(prefix + file)
        except FileNotFoundError as error:
            raise StoreError(
                f"{store.url}/{prefix}{file}: found no such file; expected the folder of a mix as this version writes"
                " it: run or fit it again"
            ) from error
    for file in OPTIONAL_FILES:
        if store.exists(prefix + file):
            contents[file] = store.read_bytes(prefix + file)
    return read_files(contents, lineage)


def read_files(contents: Mapping[str, bytes], lineage: Sequence[VersionSummary] = ()) -> PublishedMix:
    """Read the mix that files describe.

    Args:
        contents: {name of a file: content} of its folder.
        lineage: The versions up to this one, oldest first.

    Returns:
        The mix.

    Raises:
        StoreError: A file is damaged, or of a newer format.
    """
    record = parse_record(unseal(contents[RECORD_FILE], RECORD_FILE), RECORD_FILE)
    for name in contents.keys() - {RECORD_FILE}:
        verify(contents[name], record.files[name], name)
    law = unseal(contents[SURROGATE_FILE], SURROGATE_FILE)
    table = read_table(contents[TABLE_FILE])
    names = [domain["fingerprint"] or domain["label"] for domain in law["domains"]]
    return PublishedMix(
        record=record,
        table=table,
        surrogate=load_surrogate(law),
        target=read_target(unseal(contents[TARGET_FILE], TARGET_FILE)) if TARGET_FILE in contents else None,
        columns=_columns(record, list(table["domain"]), LeafIndex(tuple(names))),
        runs=from_parquet(contents[RUNS_FILE]),
        diagnostics=read_labelled(contents[DIAGNOSTICS_FILE], "task").set_index("task"),
        lineage=lineage,
        trade_offs=read_labelled(contents[TRADE_OFFS_FILE], "parameter") if TRADE_OFFS_FILE in contents else None,
    )


def _columns(record: MixRecord | FitRecord, leaves: Sequence[str], law_columns: LeafIndex) -> Array:
    """[law columns, leaves] the leaves over the columns of the law, which go by content where it is known."""
    if isinstance(record, FitRecord):
        parts = {leaf.label: {leaf.column: 1.0} for leaf in record.domain_set}
    else:
        parts = {leaf.label: in_atoms({leaf.fingerprint: 1.0}, record.splits) for leaf in record.domain_set}
    return np.asarray(law_columns.matrix([parts[leaf] for leaf in leaves]))
