"""What no mix and no evidence refers to: results of settings that were tried, proxies that nobody learns from.

A version refers to the steps that it came from and to all that they left; a row of evidence to its proxy. Everything
else may go once it is old enough that no run can be about to use it: a run that was stopped, or is under way, refers
to nothing yet.
"""

import re
import time
from collections.abc import Mapping
from typing import Any

from olmix_core.errors import DamageError
from olmix_core.evidence import ledger
from olmix_core.storage.results import result_of
from olmix_core.storage.store import Store

_KEYED = re.compile(r"(?:cache/[a-z_]+|proxies|tokenizers)/([0-9a-f]{64})(?:\.payload\.json|\.json|/.*)")
_TEMPORARY = re.compile(r"(?:.*/)?\.new-[^/]*|damaged/.*")
_SET = re.compile(r"evidence/sets/([0-9a-f]{64})\.parquet")


def garbage(store: Store, days: float) -> dict[str, int]:
    """{path: bytes} of what nothing refers to and nothing has written in the last `days`.

    Raises StoreError, DamageError: what is to be kept can only be told from a record that is whole.
    """
    before = time.time() - days * 24 * 3600
    files = store.files()
    records = [store.read_json(path) for path in files if re.fullmatch(r"mixes/[^/]+/v\d+/mix\.json", path)]
    kept = {key for record in records for key in _keys(record)}
    kept |= set(ledger.read(store, ["row", "proxy"])["proxy"].to_pylist())
    kept_files = _files_of_results(store, files, kept)
    found = {}
    for path, (size, written) in files.items():
        if written > before or path in kept_files:
            continue
        match = _KEYED.fullmatch(path) or _SET.fullmatch(path)
        if _TEMPORARY.fullmatch(path) or (match and match[1] not in kept):
            found[path] = size
    return found


def _keys(record: Mapping[str, Any]) -> set[str]:
    """The keys that a version refers to: its steps, its tokenizer, its sets of evidence."""
    found = {key for keys in record["keys"].values() for key in keys}
    return found | {record["tokenizer"]["fingerprint"], record["evidence"], str(record["pool"].get("evidence"))}


def _files_of_results(store: Store, files: Mapping[str, Any], kept: set[str]) -> set[str]:
    """What the results that are kept refer to."""
    found: set[str] = set()
    for path in files:
        match = re.fullmatch(r"cache/[a-z_]+/([0-9a-f]{64})\.json", path)
        if match and match[1] in kept:
            try:
                found |= result_of(store.read_json(path), store.place(path)).get("files", {}).keys()
            except DamageError:
                continue  # not used, so what it refers to is not either
    return found
