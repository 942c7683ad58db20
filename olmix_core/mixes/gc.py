"""Garbage of a store: what no published version and no evidence refers to.

A version refers to the steps that it came from and to all files of their results; a row of evidence refers to its
proxy. Everything else may be removed once it is old enough that no run can be about to use it: a run in progress, or
one that was stopped, is not referred to by anything yet.
"""

import time
from collections.abc import Iterable

from olmix_core.errors import DamageError
from olmix_core.evidence import ledger
from olmix_core.mixes.record import MixRecord, as_mix, parse_record
from olmix_core.storage import layout
from olmix_core.storage.results import parse_result
from olmix_core.storage.store import Store

SECONDS_PER_DAY = 24 * 3600


def garbage(store: Store, days: float) -> dict[str, int]:
    """Find the files that nothing refers to and that were not written recently.

    Args:
        store: The store.
        days: Files written in the last `days` are kept.

    Returns:
        {path: size in bytes}.

    Raises:
        StoreError: The store cannot be read, or a record cannot, so that what it refers to is unknown.
        DamageError: A record is damaged.
    """
    before = time.time() - days * SECONDS_PER_DAY
    files = store.files()
    kept_keys = set(ledger.read(store, ["row", "proxy"])["proxy"].to_pylist())
    for path in files:
        parts = layout.version_path.match(path)
        if parts and parts["version_file"] == layout.RECORD_FILE:
            kept_keys |= _keys(as_mix(parse_record(store.read_json(path), store.place(path)), store.place(path)))
    kept_files = _files_of_results(store, files, kept_keys)
    return {
        path: size
        for path, (size, written) in files.items()
        if written <= before and path not in kept_files and _may_go(path, kept_keys)
    }


def _may_go(path: str, kept_keys: set[str]) -> bool:
    if layout.temporary_path.match(path) or layout.damaged_path.match(path):
        return True
    parts = layout.keyed_path.match(path) or layout.evidence_set_path.match(path)
    return parts is not None and parts["key"] not in kept_keys


def _keys(record: MixRecord) -> set[str]:
    """Keys that a version refers to: its steps, its tokenizer, its sets of evidence."""
    keys = {key for keys in record.step_keys.values() for key in keys}
    keys |= {record.tokenizer.fingerprint, record.evidence}
    return keys if record.pool.evidence is None else keys | {record.pool.evidence}


def _files_of_results(store: Store, files: Iterable[str], kept_keys: set[str]) -> set[str]:
    """Files that the kept results refer to."""
    kept_files: set[str] = set()
    for path in files:
        parts = layout.step_result_path.match(path)
        if parts and parts["key"] in kept_keys:
            try:
                kept_files |= parse_result(store.read_json(path), store.place(path)).get("files", {}).keys()
            except DamageError:
                continue  # a damaged result is not used, so what it refers to is not either
    return kept_files
