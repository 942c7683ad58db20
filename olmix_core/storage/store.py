"""The store: one folder, local or on an object store, that holds everything a run leaves behind.

    cache/       step results with their payloads          evidence/   the ledger: a row per evaluated proxy
    proxies/     trained proxies                           mixes/      published mixtures, by name and version
    tokenizers/  tokenizers trained here

Every file is written whole or not at all: locally through a temporary file that is synced and renamed, on an object
store by a single upload; and it shows by a seal whether it is still what was written (`seal`). What several writers may
write at the same time is `exclusive`'s. Nothing in it is ever executed: JSON, CSV, parquet, safetensors and raw arrays
only.
"""

import errno
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from olmix_core.errors import DamageError, StoreError
from olmix_core.storage import filesystem as remote
from olmix_core.storage import local_cache as copies
from olmix_core.storage.credentials import refuse_credentials
from olmix_core.storage.integrity import check, seal, unseal
from olmix_core.storage.layout import damaged_path, probe_path

# Can only be read by setting it, which is not safe once there are threads.
_UMASK = os.umask(0)
os.umask(_UMASK)

_REMEDIES = dict.fromkeys(
    (errno.ENOSPC, errno.EDQUOT), "; free some space there, then run again: what was finished is kept"
)
EXPECTED = "expected a folder or bucket that is there or can be made, and that this user may read and write"


class Store:
    """A folder at any fsspec URL. Paths are relative to it, with forward slashes.

    Raises OlmixError where the URL carries credentials, StoreError where there is no such kind of URL.
    """

    def __init__(self, url: str) -> None:
        refuse_credentials(url, "store")
        self.url = url.rstrip("/")
        try:
            self.fs, root = remote.filesystem(self.url)
        except OSError as error:
            raise StoreError(f"store: {url} cannot be opened: {error}; expected a folder or a URL") from error
        self.root = root.rstrip("/")
        self.is_local = remote.is_local(self.fs)

    def full(self, path: str) -> str:
        """`path` as the file system `fs` knows it. Raises StoreError where it leads out of the store."""
        if not path or path.startswith("/") or ".." in path.split("/"):
            raise StoreError(f"{path!r} is not a path inside the store {self.url}")
        return f"{self.root}/{path}"

    def place(self, path: str) -> str:
        """The file `path` as messages name it."""
        return f"{self.url}/{path}"

    def set_aside(self, damaged: DamageError) -> None:
        """Move the file that `damaged` names to damaged/, so that what can make it anew finds it missing."""
        path = damaged.where.removeprefix(f"{self.url}/")
        with suppress(FileNotFoundError), self.failing(path, "moved"):
            aside = self.full(damaged_path(path))
            self.fs.makedirs(aside.rpartition("/")[0], exist_ok=True)
            self.fs.mv(self.full(path), aside)
        copies.forget(self.place(path))

    @contextmanager
    def failing(self, path: str, what: str) -> Iterator[None]:
        """Tell what goes wrong within as a StoreError, but for a file that is not there."""
        try:
            yield
        except (FileNotFoundError, StoreError):
            raise
        except Exception as error:  # each kind of store has exceptions of its own
            words = str(error)
            if isinstance(error, OSError):
                words = remote.reason_of(error) + _REMEDIES.get(error.errno or 0, "")
            raise StoreError(f"{self.place(path)}: cannot be {what}: {words}") from error

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder `path`. Raises StoreError where that cannot be told."""
        with self.failing(path, "read"):
            return bool(self.fs.exists(self.full(path)))

    def read_bytes(self, path: str, sha256: str | None = None) -> bytes:
        """The content of `path`, whose checksum may be on record elsewhere.

        Raises FileNotFoundError, DamageError, StoreError.
        """
        with self.failing(path, "read"):
            content = bytes(self.fs.cat_file(self.full(path)))
            return content if sha256 is None else check(content, sha256, self.place(path))

    def read_json(self, path: str) -> dict[str, Any]:
        """The JSON at `path`, its seal looked at. Raises FileNotFoundError, DamageError, StoreError."""
        return unseal(self.read_bytes(path), self.place(path))

    def write_bytes(self, path: str, content: bytes) -> None:
        """Write `content` to `path`, whole or not at all. Raises StoreError."""
        full = self.full(path)
        with self.writing(path):
            if self.is_local:
                with self.new_file(path) as temporary:
                    temporary.write_bytes(content)
            else:
                self.fs.pipe_file(full, content)

    @contextmanager
    def writing(self, path: str) -> Iterator[None]:
        """The same as `failing`, where a file that is not there is a folder that cannot be made."""
        with self.failing(path, "written"):
            try:
                yield
            except FileNotFoundError as error:
                raise StoreError(f"{self.url}/{path}: cannot be written: {remote.reason_of(error)}") from error

    def write_json(self, path: str, value: Mapping[str, Any]) -> None:
        """Write `value` to `path` as indented JSON with a seal (NaN and infinity are refused)."""
        self.write_bytes(path, seal(value))

    def new_file(self, path: str) -> "NewFile":
        """A local file to fill within a `with` block, that appears at `path` when the block ends without an error.

        The block raises StoreError where the file cannot be written, on a full disk for one.
        """
        return NewFile(self, path)

    def local_copy(self, path: str) -> Path:
        """A path on this machine with the content of `path`: the file itself, or a copy fetched once (see `copies`).

        Only for paths whose content never changes (those that carry a key). Raises FileNotFoundError, StoreError.
        """
        full = self.full(path)
        if self.is_local:
            return Path(full)
        with self.failing(path, "fetched"):
            return copies.local_copy(self.place(path), lambda target: self.fs.get_file(full, str(target)))

    def remove(self, path: str) -> None:
        """Remove the file at `path`, if it is there. Raises StoreError."""
        with suppress(FileNotFoundError), self.failing(path, "removed"):
            self.fs.rm_file(self.full(path))

    def files(self) -> dict[str, tuple[int, float]]:
        """{path: (bytes, time of writing in seconds since 1970)} of everything in the store."""
        try:
            with self.failing("", "listed"):
                found = self.fs.find(self.root, detail=True)
        except FileNotFoundError:
            return {}
        return {path.removeprefix(f"{self.root}/"): (info["size"], _written(info)) for path, info in found.items()}

    def list(self, path: str) -> list[str]:
        """The names in the folder `path`, sorted; empty where there is no such folder. Raises StoreError."""
        try:
            with self.failing(path, "listed"):
                entries = self.fs.ls(self.full(path), detail=False, refresh=True)
        except FileNotFoundError:
            return []
        return sorted(entry.rstrip("/").rsplit("/", 1)[-1] for entry in entries)

    def knock(self) -> None:
        """Find out within seconds whether the server of the store answers at all. Raises StoreError."""
        try:
            remote.check_reachable([self.url])
        except OSError as error:
            raise StoreError(f"store: {self.url} cannot be used: {remote.reason_of(error)}") from error

    def preflight(self) -> None:
        """Prove that the store can be written and read, before anything expensive runs. Raises StoreError."""
        self.knock()
        probe = probe_path("preflight")
        try:
            self.write_bytes(probe, b"ok")
            found = self.read_bytes(probe)
        except (StoreError, FileNotFoundError) as error:
            raise StoreError(f"store: {self.url} cannot be used: {error}; {EXPECTED}") from error
        if found != b"ok":
            raise StoreError(f"store: {self.url} did not give back what was written to it; {EXPECTED}")


def _written(info: Mapping[str, Any]) -> float:
    """When a file was written, as the different kinds of store tell it."""
    when = info.get("mtime") or info.get("LastModified") or info.get("created") or 0.0
    return float(when.timestamp()) if isinstance(when, datetime) else float(when)


class NewFile:
    """See `Store.new_file`."""

    def __init__(self, store: Store, path: str) -> None:
        self._store, self._path, self._target = store, path, store.full(path)

    def __enter__(self) -> Path:
        folder = None
        with self._store.writing(self._path):
            if self._store.is_local:
                # In the same folder: a rename is atomic only within one file system.
                folder = Path(self._target).parent
                folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".new-", dir=folder)
        os.close(handle)
        self._temporary = Path(name)
        return self._temporary

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        try:
            if isinstance(error, OSError) and error.filename in (None, str(self._temporary)):
                # Not of another file that was read meanwhile: the disk is full, say.
                with self._store.writing(self._path):
                    raise error
            if kind is None:
                with self._store.writing(self._path):
                    self._keep()
        finally:
            self._temporary.unlink(missing_ok=True)

    def _keep(self) -> None:
        with self._temporary.open("rb") as file:
            os.fsync(file.fileno())
        if self._store.is_local:
            # mkstemp makes files private; what is in the store follows the user's umask.
            self._temporary.chmod(0o666 & ~_UMASK)
            self._temporary.replace(self._target)
        else:
            self._store.fs.put_file(str(self._temporary), self._target)
