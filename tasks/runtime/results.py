"""Where Prefect keeps results of steps: as plain JSON in the store's cache/ folder.

A result that names `files` is there only with them: where one is missing or damaged, the step runs again. So it does
where the file itself is damaged (its seal) or refused (`olmix_core.storage.results`), since Prefect executes a task
whose result cannot be read, and the new result replaces the old one. A store that does not answer is another matter:
`tasks.runtime.step` looks again before it computes anything, and ends the run. Tokens and weights are checked where
they are used, by the worker processes, which set damaged ones aside (`olmix_core.workers.process`). `olmix store check`
(`olmix_core.mixes.audit`) finds the same damage in a whole store.
"""

import asyncio
import hashlib
import json

from prefect.filesystems import WritableFileSystem
from prefect.logging import get_logger
from prefect.serializers import JSONSerializer

from olmix_core.errors import DamageError, StoreError
from olmix_core.serialization import JsonObject
from olmix_core.storage.layout import result_path
from olmix_core.storage.results import parse_result
from olmix_core.storage.store import Store

SERIALIZER = JSONSerializer(object_encoder=None, object_decoder=None)


class StoreResults(WritableFileSystem):
    """Prefect's view of the cache/ folder of a store."""

    _block_type_name = "Olmix store results"
    _block_type_slug = "olmix-store-results"

    url: str

    # Prefect calls the methods with `_sync` from synchronous code, and those with an a from asynchronous code.

    def read_path(self, path: str, _sync: bool = True) -> bytes:  # type: ignore[override]
        """Read a result.

        Args:
            path: Name of the result, <step>/<key>.
            _sync: Not used; part of the protocol.

        Returns:
            Prefect's record of it.

        Raises:
            FileNotFoundError: There is none, or one of its files is missing.
            StoreError: The store does not answer, or the result cannot be used.
        """
        try:
            return json.dumps(read_result(Store(self.url), path)).encode()
        except StoreError as error:
            get_logger("olmix").warning("%s: its step runs again", error)
            raise

    def write_path(self, path: str, content: bytes, _sync: bool = True) -> None:  # type: ignore[override]
        """Write a result.

        Args:
            path: Name of the result, <step>/<key>.
            content: Prefect's record of it.
            _sync: Not used; part of the protocol.

        Raises:
            StoreError: The store cannot be written.
        """
        record = json.loads(content)
        parse_result(record, path)
        Store(self.url).write_json(result_path(path), record)

    async def aread_path(self, path: str) -> bytes:
        """Do what `read_path` does.

        Args:
            path: Name of the result.

        Returns:
            Prefect's record of it.
        """
        return await asyncio.to_thread(self.read_path, path)

    async def awrite_path(self, path: str, content: bytes) -> None:
        """Do what `write_path` does.

        Args:
            path: Name of the result.
            content: Prefect's record of it.
        """
        await asyncio.to_thread(self.write_path, path, content)


def read_result(store: Store, key: str) -> JsonObject:
    """Read Prefect's record of a result whose files are all there.

    Args:
        store: The store.
        key: Name of the result, <step>/<key>.

    Returns:
        The record.

    Raises:
        FileNotFoundError: There is none, or one of its files is missing.
        DamageError: The result or one of its files cannot be used.
        StoreError: The store does not answer.
    """
    path = result_path(key)
    record = store.read_json(path)
    for file, sha256 in parse_result(record, store.place(path)).get("files", {}).items():
        if sha256 is not None:
            store.read_bytes(file, sha256)
        elif file.endswith(".json"):
            store.read_json(file)
        elif not store.exists(file):  # large: checked where it is used
            raise FileNotFoundError(store.place(file))
    return record


def known_result(store: Store, key: str) -> JsonObject | None:
    """Look up a result.

    Args:
        store: The store.
        key: Name of the result, <step>/<key>.

    Returns:
        The result as JSON; None where there is none, or one that cannot be used.

    Raises:
        StoreError: The store does not answer.
    """
    try:
        return parse_result(read_result(store, key), store.place(result_path(key)))
    except (FileNotFoundError, DamageError):
        return None  # it will be computed again


def results_block(store_url: str) -> StoreResults:
    """Register the block of a store with the Prefect API.

    Args:
        store_url: URL of the store.

    Returns:
        The block, under a name of its own.
    """
    name = f"olmix-{hashlib.sha256(store_url.encode()).hexdigest()[:16]}"
    block = StoreResults(url=store_url)
    block.save(name, overwrite=True)
    return block
