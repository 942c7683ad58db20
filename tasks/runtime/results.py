"""Where Prefect keeps step results: as plain JSON in the store's cache/, and nothing but plain JSON.

A result that names `files` is there only with them: where one is missing or damaged the step runs again.

What is refused (`stored_result`) counts as missing, and the step runs again.
"""

import asyncio
import hashlib
import json
from typing import Any

from prefect.filesystems import WritableFileSystem
from prefect.logging import get_logger
from prefect.serializers import JSONSerializer

from olmix_core.errors import DamageError, StoreError
from olmix_core.storage.layout import result_path
from olmix_core.storage.results import result_of
from olmix_core.storage.store import Store

SERIALIZER = JSONSerializer(object_encoder=None, object_decoder=None)


class StoreResults(WritableFileSystem):
    """Prefect's view of the cache/ folder of a store."""

    _block_type_name = "Olmix store results"
    _block_type_slug = "olmix-store-results"

    url: str

    # Prefect asks for synchronous work by `_sync`, and for asynchronous work by the methods with an a.

    def read_path(self, path: str, _sync: bool = True) -> bytes:  # type: ignore[override]
        try:
            return json.dumps(read_result(Store(self.url), path)).encode()
        except StoreError as error:
            get_logger("olmix").warning("%s: its step runs again", error)
            raise

    def write_path(self, path: str, content: bytes, _sync: bool = True) -> None:  # type: ignore[override]
        record = json.loads(content)
        result_of(record, path)
        Store(self.url).write_json(result_path(path), record)

    async def aread_path(self, path: str) -> bytes:
        return await asyncio.to_thread(self.read_path, path)

    async def awrite_path(self, path: str, content: bytes) -> None:
        await asyncio.to_thread(self.write_path, path, content)


def read_result(store: Store, key: str) -> dict[str, Any]:
    """What Prefect keeps of a result, whose files are all there.

    Raises FileNotFoundError, StoreError; DamageError where it is not to be used.
    """
    path = result_path(key)
    record = store.read_json(path)
    for file, sha256 in result_of(record, store.place(path)).get("files", {}).items():
        if sha256 is not None:
            store.read_bytes(file, sha256)
        elif file.endswith(".json"):
            store.read_json(file)
        elif not store.exists(file):  # large: looked at where it is used
            raise FileNotFoundError(store.place(file))
    return record


def known_result(store: Store, key: str) -> dict[str, Any] | None:
    """The result that is kept as `key`; None where there is none, or one that is not to be used.

    Raises StoreError where the store does not tell.
    """
    try:
        return result_of(read_result(store, key), store.place(result_path(key)))
    except (FileNotFoundError, DamageError):
        return None  # it will be made again


def results_block(store_url: str) -> StoreResults:
    """The block for a store, registered with the Prefect API under a name of its own."""
    name = f"olmix-{hashlib.sha256(store_url.encode()).hexdigest()[:16]}"
    block = StoreResults(url=store_url)
    block.save(name, overwrite=True)
    return block
