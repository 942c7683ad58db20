"""Results of steps in the store: files of Prefect's that hold plain JSON, and nothing else.

Prefect lets the metadata of a result file choose how it is read, and some of the choices run code. Therefore every file
is checked before Prefect parses it, and refused unless it is JSON without a decoder: who may write to the store must
not be able to run code on a worker. The step of a refused result runs again (`tasks.runtime.results`).
"""

import json
from collections.abc import Mapping
from typing import Any

from olmix_core.errors import DamageError
from olmix_core.serialization import JsonObject
from olmix_core.storage.store import Store

# The settings of a serialiser that decide whether reading runs code.
PLAIN: dict[str, Any] = {"type": "json", "jsonlib": "json", "object_decoder": None, "loads_kwargs": {}}


def parse_result(record: Any, where: str) -> JsonObject:
    """Read the result in a file of Prefect's.

    Args:
        record: The JSON in the file.
        where: The file, for messages.

    Returns:
        The result of the step; its field `files`, if any, is {path: SHA-256, or None for a file with a seal}.

    Raises:
        DamageError: The file holds no result, or asks to be read as anything but plain JSON.
    """
    try:
        serializer = record["metadata"]["serializer"]
        if any(serializer.get(name, PLAIN[name]) != PLAIN[name] for name in PLAIN):
            raise DamageError(where, "a result that asks to be read as something else than plain JSON")
        result: JsonObject = json.loads(record["result"])
        checksums = result.get("files", {}).values()
        complete = all(sha256 is None or isinstance(sha256, str) for sha256 in checksums)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DamageError(where, "no result of a step") from error
    if not complete:
        raise DamageError(where, "files without their checksums")
    return result


def file_of(store: Store, files: Mapping[str, str | None], path: str) -> bytes:
    """Read a file that a result names.

    Args:
        store: The store.
        files: The files of the result, {path: SHA-256, or None for a file with a seal}.
        path: The file.

    Returns:
        Its content.

    Raises:
        DamageError: The result does not name the file, or the file is not what was written.
        StoreError: The file cannot be read.
    """
    if path not in files:
        raise DamageError(store.place(path), "no word of it in the result that should name it")
    return store.read_bytes(path, files[path])
