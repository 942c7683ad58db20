"""What several writers may write at the same time: a name that only one of them gets, and a pointer that only advances.

Locally both are done under a lock on a file of the store (flock, which ends with its process). On S3 they are
conditional puts: If-None-Match for a new name, If-Match for the pointer. A server that lacks one of them is found out
by trying; then the file is read, written, and after a moment read again, to see who came last. That leaves a gap: a
writer that is held up between reading and writing for longer than this moment can undo what another wrote.
"""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from olmix_core.errors import StoreError
from olmix_core.storage import filesystem as remote
from olmix_core.storage.layout import probe_path
from olmix_core.storage.store import Store

SETTLED = 1.0  # seconds after which a write that began before ours is over
TRIES = 100
PROBE, LOCK = probe_path("conditional"), probe_path("lock")


def create(store: Store, path: str, content: bytes) -> bool:
    """Write `content` to `path` unless there is a file. Of several writers at once, just the one whose content is there
    is told True.

    Raises StoreError.
    """
    if store.is_local:
        with _locked(store):
            if store.exists(path):
                return False
            store.write_bytes(path, content)
            return True
    if not refuses_existing(store):
        if store.exists(path):
            return False
        store.write_bytes(path, content)
        time.sleep(SETTLED)
        return store.read_bytes(path) == content
    with store.writing(path):
        try:
            store.fs.pipe_file(store.full(path), content, mode="create")
        except FileExistsError:
            # It may be ours: of a write whose answer was lost, and that was tried again.
            return _read(store, path) == content
    return True


def advance(store: Store, path: str, content: bytes, is_older: Callable[[bytes], bool]) -> None:
    """Write `content` to `path` unless what is there is newer or the same. Raises StoreError."""
    if store.is_local:
        with _locked(store):
            current = _read(store, path)
            if current is None or is_older(current):
                store.write_bytes(path, content)
        return
    conditional = refuses_changed(store)
    for _ in range(TRIES):
        # The tag first: where the content is newer than the tag, the tag will not do.
        tag = _tag(store, path) if conditional else None
        current = _read(store, path)
        if current is not None and not is_older(current):
            return
        if current is None:
            done = create(store, path, content)
        elif tag is not None:
            done = _replaced(store, path, content, tag)
        else:
            store.write_bytes(path, content)
            time.sleep(SETTLED)
            done = False  # the next round looks whether it stayed
        if done:
            return
    raise StoreError(f"{store.url}/{path}: cannot be written: others kept changing it; expected them to end")


def refuses_existing(store: Store) -> bool:
    """Whether the store heeds that a file shall only be written where there is none."""
    store.write_bytes(PROBE, b"1")
    try:
        store.fs.pipe_file(store.full(PROBE), b"2", mode="create")
    except FileExistsError:
        return True
    except Exception:  # it does not know the question
        return False
    return False


def refuses_changed(store: Store) -> bool:
    """Whether the store heeds that a file shall only be replaced where it is what was read."""
    if not remote.is_s3(store.url):
        return False
    store.write_bytes(PROBE, b"1")
    try:
        store.fs.pipe_file(store.full(PROBE), b"2", IfMatch='"00000000000000000000000000000000"')
    except FileExistsError:
        return True
    except Exception:
        return False
    return False


def _replaced(store: Store, path: str, content: bytes, tag: str) -> bool:
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
    """Alone among the writers of a local store."""
    with store.writing(LOCK):
        Path(store.full(LOCK)).parent.mkdir(parents=True, exist_ok=True)
        file = Path(store.full(LOCK)).open("w")  # noqa: SIM115
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
