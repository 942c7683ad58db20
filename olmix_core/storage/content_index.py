"""Content hashes of files, each computed once, and facts learnt by opening a file.

A content hash identifies the bytes of a file, wherever it is. It is the MD5 of the content, because object stores
report that as the ETag of a plain upload: the same file has the same identity on a disk and on S3. The hash of a local
file is remembered by (path without links, size, modification time), as in git's index. Facts are remembered by content,
so that no file is opened twice to learn the same.
"""

import hashlib
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from olmix_core.storage.filesystem import filesystem, is_local, open_file
from olmix_core.storage.listing import ListedFile, stat_files
from olmix_core.storage.local_cache import cache_dir

CHUNK = 1 << 20

# A file that changed less than this long ago may change again within the resolution of its clock, unseen.
RACY_SECONDS = 2.0


class ContentIndex:
    """Content hashes and facts on this machine, in an SQLite database."""

    def __init__(self, folder: Path | None = None) -> None:
        """Open the index.

        Args:
            folder: Folder of the database, by default `local_cache.cache_dir()`.
        """
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
        """Close the database."""
        self._database.close()

    def hash(self, file: str | ListedFile) -> tuple[str, int]:
        """Hash the content of a file; on an object store the ETag is taken and nothing is read.

        Args:
            file: The URL of the file, or the file as it was listed.

        Returns:
            (content hash, size in bytes).

        Raises:
            OlmixError: The URL carries credentials.
            OSError: The file cannot be read.
        """
        url = file if isinstance(file, str) else file.url
        fs, path = filesystem(url)
        if is_local(fs):
            return self._hash_local(Path(path))
        listed = stat_files([url])[0] if isinstance(file, str) else file
        if listed is None:
            raise FileNotFoundError("there is no such file")
        if listed.content is None:
            with open_file(url) as stream:
                return _md5(stream), listed.size
        return listed.content, listed.size

    def recall(self, content: str, question: str) -> str | None:
        """Look a fact up.

        Args:
            content: Content hash of the file.
            question: What was learnt.

        Returns:
            The answer, or None where none is on record.
        """
        row = self._database.execute(
            "SELECT answer FROM learnt WHERE content = ? AND question = ?", (content, question)
        ).fetchone()
        return None if row is None else str(row[0])

    def learn(self, answers: Iterable[tuple[str, str, str]]) -> None:
        """Record facts.

        Args:
            answers: (content hash, question, answer) of each.
        """
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO learnt VALUES (?, ?, ?)", answers)

    def _hash_local(self, path: Path) -> tuple[str, int]:
        path = path.resolve()  # a link may lead to another file tomorrow, of the same size and time
        status = path.stat()
        row = self._database.execute(
            "SELECT hash FROM files WHERE path = ? AND size = ? AND mtime_ns = ?",
            (str(path), status.st_size, status.st_mtime_ns),
        ).fetchone()
        if row is not None:
            return str(row[0]), status.st_size
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


def _md5(file: IO[bytes]) -> str:
    hasher = hashlib.md5(usedforsecurity=False)
    while chunk := file.read(CHUNK):
        hasher.update(chunk)
    return hasher.hexdigest()
