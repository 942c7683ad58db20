"""The store: one folder, local or on an object store, that holds everything a run leaves behind.

    cache/        results of steps, with their payloads
    proxies/      trained proxies
    tokenizers/   trained tokenizers
    evidence/     the ledger: a row per evaluated proxy
    mixes/        published mixes, by name and version

Every file is written whole or not at all: locally through a temporary file that is synced and renamed, on an object
store by a single upload. A seal shows whether it is still what was written (`integrity`). Files that several writers
may write at the same time are written by `conditional_writes`. Nothing in a store is ever executed: it holds JSON, CSV,
parquet, safetensors and raw arrays only. `layout` has the paths.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from olmix_core.errors import DamageError, StoreError
from olmix_core.serialization import JsonMapping, JsonObject
from olmix_core.storage import filesystem, local_cache
from olmix_core.storage.folder import StoreFolder
from olmix_core.storage.integrity import seal, unseal, verify
from olmix_core.storage.layout import damaged_path, probe_path
from olmix_core.storage.new_file import NewFile

EXPECTED = "expected a folder or bucket that is there or can be made, and that this user may read and write"


class Store(StoreFolder):
    """A folder at any fsspec URL. Paths are relative to it, with forward slashes."""

    def set_aside(self, damaged: DamageError) -> None:
        """Move a damaged file away, so that the step that can make it again finds it missing.

        Args:
            damaged: The error that names the file.

        Raises:
            StoreError: The file cannot be moved.
        """
        path = damaged.where.removeprefix(f"{self.url}/")
        with suppress(FileNotFoundError), self.failing(path, "moved"):
            aside = self.full(damaged_path(path))
            self.fs.makedirs(aside.rpartition("/")[0], exist_ok=True)
            self.fs.mv(self.full(path), aside)
        local_cache.forget(self.place(path))

    def exists(self, path: str) -> bool:
        """Tell whether there is a file or folder.

        Args:
            path: The file or folder.

        Returns:
            Whether it exists.

        Raises:
            StoreError: The store does not answer.
        """
        with self.failing(path, "read"):
            return bool(self.fs.exists(self.full(path)))

    def read_bytes(self, path: str, sha256: str | None = None) -> bytes:
        """Read a file.

        Args:
            path: The file.
            sha256: Its checksum, where that is on record elsewhere.

        Returns:
            Its content.

        Raises:
            FileNotFoundError: There is no such file.
            DamageError: The content has another checksum.
            StoreError: The file cannot be read.
        """
        with self.failing(path, "read"):
            content = bytes(self.fs.cat_file(self.full(path)))
            return content if sha256 is None else verify(content, sha256, self.place(path))

    def read_json(self, path: str) -> JsonObject:
        """Read a JSON file and check its seal.

        Args:
            path: The file.

        Returns:
            The fields of the document.

        Raises:
            FileNotFoundError: There is no such file.
            DamageError: The document is not what was written.
            StoreError: The file cannot be read.
        """
        return unseal(self.read_bytes(path), self.place(path))

    def write_bytes(self, path: str, content: bytes) -> None:
        """Write a file, whole or not at all.

        Args:
            path: The file.
            content: Its content.

        Raises:
            StoreError: The file cannot be written.
        """
        full = self.full(path)
        with self.writing(path):
            if self.is_local:
                with self.new_file(path) as temporary:
                    temporary.write_bytes(content)
            else:
                self.fs.pipe_file(full, content)

    def write_json(self, path: str, value: JsonMapping) -> None:
        """Write a JSON file with a seal.

        Args:
            path: The file.
            value: The fields of the document.

        Raises:
            ValueError: The document holds NaN or infinity.
            StoreError: The file cannot be written.
        """
        self.write_bytes(path, seal(value))

    def new_file(self, path: str) -> NewFile:
        """Write a file piece by piece, in a ``with`` block that gives the path of a local file to fill.

        The file appears in the store when the block ends without an error. The block raises StoreError where the file
        cannot be written.

        Args:
            path: The file.

        Returns:
            The context manager.
        """
        return NewFile(self, path)

    def local_copy(self, path: str) -> Path:
        """Find a file of this machine with the content of a file, for files whose content never changes.

        Args:
            path: The file.

        Returns:
            The file itself, or a copy that is fetched once (`local_cache`).

        Raises:
            FileNotFoundError: There is no such file.
            StoreError: The file cannot be fetched.
        """
        full = self.full(path)
        if self.is_local:
            return Path(full)
        with self.failing(path, "fetched"):
            return local_cache.local_copy(self.place(path), lambda target: self.fs.get_file(full, str(target)))

    def remove(self, path: str) -> None:
        """Remove a file if it exists.

        Args:
            path: The file.

        Raises:
            StoreError: The file cannot be removed.
        """
        with suppress(FileNotFoundError), self.failing(path, "removed"):
            self.fs.rm_file(self.full(path))

    def files(self) -> dict[str, tuple[int, float]]:
        """List all files.

        Returns:
            {path: (size in bytes, time of writing in seconds since 1970)}.

        Raises:
            StoreError: The store cannot be listed.
        """
        try:
            with self.failing("", "listed"):
                infos = self.fs.find(self.root, detail=True)
        except FileNotFoundError:
            return {}
        return {path.removeprefix(f"{self.root}/"): (info["size"], _written(info)) for path, info in infos.items()}

    def list(self, path: str) -> list[str]:
        """List a folder.

        Args:
            path: The folder.

        Returns:
            The names in it, sorted; none where there is no such folder.

        Raises:
            StoreError: The folder cannot be listed.
        """
        try:
            with self.failing(path, "listed"):
                entries = self.fs.ls(self.full(path), detail=False, refresh=True)
        except FileNotFoundError:
            return []
        return sorted(entry.rstrip("/").rsplit("/", 1)[-1] for entry in entries)

    def check_reachable(self) -> None:
        """Check within seconds that the server of the store answers.

        Raises:
            StoreError: It does not.
        """
        try:
            filesystem.check_reachable([self.url])
        except OSError as error:
            raise StoreError(f"store: {self.url} cannot be used: {filesystem.reason_of(error)}") from error

    def preflight(self) -> None:
        """Check that the store can be written and read, before anything expensive runs.

        Raises:
            StoreError: It cannot.
        """
        self.check_reachable()
        probe = probe_path("preflight")
        try:
            self.write_bytes(probe, b"ok")
            content = self.read_bytes(probe)
        except (StoreError, FileNotFoundError) as error:
            raise StoreError(f"store: {self.url} cannot be used: {error}; {EXPECTED}") from error
        if content != b"ok":
            raise StoreError(f"store: {self.url} did not give back what was written to it; {EXPECTED}")


def _written(info: Mapping[str, Any]) -> float:
    """Time of writing of a file, by the names that the kinds of store use."""
    when = info.get("mtime") or info.get("LastModified") or info.get("created") or 0.0
    return float(when.timestamp()) if isinstance(when, datetime) else float(when)
