"""What the store keeps of a step's result: Prefect's file around plain JSON, and nothing but plain JSON.

Prefect lets a result file's own metadata choose how it is read back, and some of the ways run code. So every file is
looked at before Prefect parses it, and refused unless it is JSON without a decoder: writing to the store must not
mean running code on a worker.
"""

import json
from collections.abc import Mapping
from typing import Any

from olmix_core import errors
from olmix_core.errors import DamageError
from olmix_core.storage.layout import proxy_run_path
from olmix_core.storage.store import Store

# Whatever else a serialiser may be told, these decide whether reading runs code.
PLAIN: dict[str, Any] = {"type": "json", "jsonlib": "json", "object_decoder": None, "loads_kwargs": {}}


def result_of(record: Any, where: str) -> dict[str, Any]:
    """The result in a file of Prefect's. Raises DamageError where it is none, or asks to be read otherwise."""
    try:
        serializer = record["metadata"]["serializer"]
        if any(serializer.get(name, PLAIN[name]) != PLAIN[name] for name in PLAIN):
            raise DamageError(where, "a result that asks to be read as something else than plain JSON")
        result: dict[str, Any] = json.loads(record["result"])
        known = all(sha256 is None or isinstance(sha256, str) for sha256 in result.get("files", {}).values())
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DamageError(where, "no result of a step") from error
    if not known:
        raise DamageError(where, "files without their checksums")
    return result


def file_of(store: Store, result: Mapping[str, Any], path: str) -> bytes:
    """The file `path` that a result names. Raises DamageError, StoreError."""
    if path not in result["files"]:
        raise DamageError(store.place(path), "no word of it in the result that should name it")
    return store.read_bytes(path, result["files"][path])


def trained_run(store: Store, key: str) -> dict[str, Any] | None:
    """run.json of a proxy that is there whole, which it is written last to say; else None."""
    try:
        return store.read_json(proxy_run_path(key))
    except (FileNotFoundError, errors.DamageError):
        return None
