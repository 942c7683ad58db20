"""Where Prefect keeps step results: as plain JSON in the store's cache/, and nothing but plain JSON.

Prefect lets a result file's own metadata choose how it is read back, and some of the ways run code. So every file is
looked at before Prefect parses it, and refused unless it is JSON without a decoder: writing to the store must not
mean running code on a worker. A refused file counts as missing, and the step runs again.
"""

import asyncio
import hashlib
import json
from typing import Any

from prefect.filesystems import WritableFileSystem
from prefect.logging import get_logger
from prefect.serializers import JSONSerializer

from olmix_core.errors import StoreError
from olmix_core.store import Store

SERIALIZER = JSONSerializer(object_encoder=None, object_decoder=None)

# Whatever else a serialiser may be told, these decide whether reading runs code.
PLAIN: dict[str, Any] = {"type": "json", "jsonlib": "json", "object_decoder": None, "loads_kwargs": {}}


class StoreResults(WritableFileSystem):
    """Prefect's view of the cache/ folder of a store."""

    _block_type_name = "Olmix store results"
    _block_type_slug = "olmix-store-results"

    url: str

    # Prefect asks for synchronous work by `_sync`, and for asynchronous work by the methods with an a.

    def read_path(self, path: str, _sync: bool = True) -> bytes:  # type: ignore[override]
        content = Store(self.url).read_bytes(result_path(path))
        try:
            check_plain(content)
        except StoreError as error:
            get_logger("olmix").warning("%s/%s: %s", self.url, result_path(path), error)
            raise
        return content

    def write_path(self, path: str, content: bytes, _sync: bool = True) -> None:  # type: ignore[override]
        try:
            check_plain(content)
        except StoreError as error:
            raise StoreError("only results in plain JSON are kept in the store") from error
        Store(self.url).write_bytes(result_path(path), content)

    async def aread_path(self, path: str) -> bytes:
        return await asyncio.to_thread(self.read_path, path)

    async def awrite_path(self, path: str, content: bytes) -> None:
        await asyncio.to_thread(self.write_path, path, content)


def result_path(key: str) -> str:
    return f"cache/{key}.json"


def check_plain(content: bytes) -> None:
    """Refuse a result file that reading could run code from. Raises StoreError."""
    try:
        record: Any = json.loads(content)
        serializer = record["metadata"]["serializer"]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError("this result file is damaged and is not used; its step runs again") from error
    if any(serializer.get(name, PLAIN[name]) != PLAIN[name] for name in PLAIN):
        raise StoreError("this result file asks to be read as something else than plain JSON; it is not used")


def read_result(store: Store, key: str) -> Any:
    """The result under `key`; None where there is none, or none that may be used. Raises StoreError."""
    try:
        content = store.read_bytes(result_path(key))
    except FileNotFoundError:
        return None
    try:
        check_plain(content)
        return json.loads(json.loads(content)["result"])
    except (StoreError, ValueError):
        return None  # damaged or tampered with: it will be made again


def results_block(store_url: str) -> StoreResults:
    """The block for a store, registered with the Prefect API under a name of its own."""
    name = f"olmix-{hashlib.sha256(store_url.encode()).hexdigest()[:16]}"
    block = StoreResults(url=store_url)
    block.save(name, overwrite=True)
    return block
