"""Conditional writes: create a file that does not exist, and replace a file only by a newer one.

On a local store both hold a lock on a file of the store (flock, which ends with its process). On S3 they are
conditional puts: ``If-None-Match`` to create, ``If-Match`` to replace. Whether a server supports them is tried. Without
support the file is read, written, and read again after a moment, to see which writer came last. This leaves a gap: a
writer that is held up for longer than that moment, between reading and writing, can undo the write of another.
"""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from olmix_core.errors import StoreError
from olmix_core.storage.filesystem import is_s3
from olmix_core.storage.layout import probe_path
from olmix_core.storage.store import Store

SETTLED = 1.0  # seconds after which a write that began before ours is over
TRIES = 100
PROBE, LOCK = probe_path("conditional"), probe_path("lock")
NO_FILE_TAG = '"00000000000000000000000000000000"'


def create_exclusive(store: Store, path: str, content: bytes) -> bool:
    """Create a file unless it exists.

    Args:
        store: The store.
        path: The file.
        content: Its content.

    Returns:
        True for exactly one of several concurrent callers: the one whose content is in the file.

    Raises:
        StoreError: The store cannot be read or written.
    """
    if store.is_local:
        with _locked(store):
            if store.exists(path):
                return False
            store.write_bytes(path, content)
            return True
    if not supports_if_none_match(store):
        if store.exists(path):
            return False
        store.write_bytes(path, content)
        time.sleep(SETTLED)
        return store.read_bytes(path) == content
    with store.writing(path):
        try:
            store.fs.pipe_file(store.full(path), content, mode="create")
        except FileExistsError:
            # The file may be ours, of a write whose answer was lost and that was tried again.
            return _read(store, path) == content
    return True


def advance(store: Store, path: str, content: bytes, is_older: Callable[[bytes], bool]) -> None:
    """Write a file unless its content is newer or the same.

    Args:
        store: The store.
        path: The file.
        content: Its new content.
        is_older: Whether a content is older than `content`.

    Raises:
        StoreError: The store cannot be read or written, or other writers do not stop.
    """
    if store.is_local:
        with _locked(store):
            current = _read(store, path)
            if current is None or is_older(current):
                store.write_bytes(path, content)
        return
    conditional = supports_if_match(store)
    for _ in range(TRIES):
        # The tag first: if the content is newer than the tag, the conditional write is refused.
        tag = _tag(store, path) if conditional else None
        current = _read(store, path)
        if current is not None and not is_older(current):
            return
        if current is None:
            done = create_exclusive(store, path, content)
        elif tag is not None:
            done = _replace(store, path, content, tag)
        else:
            store.write_bytes(path, content)
            time.sleep(SETTLED)
            done = False  # the next round checks whether the content stayed
        if done:
            return
    raise StoreError(f"{store.url}/{path}: cannot be written: others kept changing it; expected them to end")


def supports_if_none_match(store: Store) -> bool:
    """Try whether a remote store refuses to create a file that exists.

    Args:
        store: The store.

    Returns:
        Whether `create_exclusive` can rely on the server.
    """
    store.write_bytes(PROBE, b"1")
    try:
        store.fs.pipe_file(store.full(PROBE), b"2", mode="create")
    except FileExistsError:
        return True
    except Exception:  # the server does not know the condition
        return False
    return False


def supports_if_match(store: Store) -> bool:
    """Try whether a remote store refuses to replace a file that has changed since it was read.

    Args:
        store: The store.

    Returns:
        Whether `advance` can rely on the server.
    """
    if not is_s3(store.url):
        return False
    store.write_bytes(PROBE, b"1")
    try:
        store.fs.pipe_file(store.full(PROBE), b"2", IfMatch=NO_FILE_TAG)
    except FileExistsError:
        return True
    except Exception:
        return False
    return False


def _replace(store: Store, path: str, content: bytes, tag: str) -> bool:
    with store.writing(path):
        try:
            store.fs.pipe_file(store.full(path), content, IfMatch=tag)
        except FileExistsError:
            return False
    return True


def _tag(store: Store, path: str) -> str | None:
    with suppress(FileNotFoundError), store.failing(path, "read"):
        return str(store.fs.info(store.full(path))["ETag"])
    return None


def _read(store: Store, path: str) -> bytes | None:
    try:
        return store.read_bytes(path)
    except FileNotFoundError:
        return None


@contextmanager
def _locked(store: Store) -> Iterator[None]:
    """Exclude other writers of a local store."""
    with store.writing(LOCK):
        Path(store.full(LOCK)).parent.mkdir(parents=True, exist_ok=True)
        file = Path(store.full(LOCK)).open("w")  # noqa: SIM115
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
