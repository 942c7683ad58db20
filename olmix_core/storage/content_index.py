"""Identity: canonical JSON, step keys, and what a file's content is.

A *key* is the SHA-256 of a step's name, its `code_version` and its *payload*: exactly what the result depends on,
written as canonical JSON. A type that has no canonical form raises; nothing is turned into a string by guessing.

A *content hash* stands for the bytes of a file, wherever it lies. It is the MD5 of the content, since that is what
object stores report as the ETag of a plain upload: the same file has the same identity on a disk and on S3. The hash
of a local file is computed once and remembered by (path, size, modification time), as git's index does. What was
learnt by opening a file is remembered by its content, so that it is not opened again.
"""

import hashlib
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from olmix_core.storage.filesystem import filesystem, is_local, open_file
from olmix_core.storage.listing import Found, look_up
from olmix_core.storage.local_cache import cache_dir

CHUNK = 1 << 20

# A file that changed less than this long ago may change again within the resolution of its clock, unseen.
RACY_SECONDS = 2.0


class ContentIndex:
    """Content hashes of files, each computed once, and what was learnt of contents.

    A local file is known again by its size and modification time.
    """

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or cache_dir()
        folder.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(folder / "content-index.sqlite", timeout=30)
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, hash TEXT)"
        )
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS learnt"
            " (content TEXT, question TEXT, answer TEXT, PRIMARY KEY (content, question)) WITHOUT ROWID"
        )

    def close(self) -> None:
        self._database.close()

    def hash(self, file: str | Found) -> tuple[str, int]:
        """(content hash, size in bytes) of a file: its URL, or what a listing told of it.

        On an object store the ETag is taken and nothing is read. Raises OlmixError, OSError.
        """
        url = file if isinstance(file, str) else file.url
        fs, path = filesystem(url)
        if is_local(fs):
            return self._hash_local(Path(path))
        found = look_up([url])[0] if isinstance(file, str) else file
        if found is None:
            raise FileNotFoundError("there is no such file")
        if found.content is None:
            with open_file(url) as opened:
                return _md5(opened), found.size
        return found.content, found.size

    def recall(self, content: str, question: str) -> str | None:
        """What was learnt of a content before; None where nothing was."""
        known = self._database.execute(
            "SELECT answer FROM learnt WHERE content = ? AND question = ?", (content, question)
        ).fetchone()
        return None if known is None else str(known[0])

    def learn(self, answers: Iterable[tuple[str, str, str]]) -> None:
        """Remember (content, question, answer)."""
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO learnt VALUES (?, ?, ?)", answers)

    def _hash_local(self, path: Path) -> tuple[str, int]:
        status = path.stat()
        known = self._database.execute(
            "SELECT hash FROM files WHERE path = ? AND size = ? AND mtime_ns = ?",
            (str(path), status.st_size, status.st_mtime_ns),
        ).fetchone()
        if known is not None:
            return str(known[0]), status.st_size
        started = time.time()
        with path.open("rb") as file:
            value = _md5(file)
        if started - status.st_mtime > RACY_SECONDS:
            with self._database:
                self._database.execute(
                    "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)",
                    (str(path), status.st_size, status.st_mtime_ns, value),
                )
        return value, status.st_size


def _md5(file: Any) -> str:
    hasher = hashlib.md5(usedforsecurity=False)
    while chunk := file.read(CHUNK):
        hasher.update(chunk)
    return hasher.hexdigest()
