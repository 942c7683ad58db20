"""Local copies of files of a remote store: tokens to train on, weights, evidence.

    <cache>/copies/<SHA-256 of the URL>

Only files whose content never changes are copied, so a copy is never out of date. A tenth of the disk stays free: the
least recently used copies are removed beyond that. A copy that was used within the last hour stays, because its reader
may be about to open it. A removed copy that is open stays readable, and is fetched again by its next reader.
"""

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

FREE = 0.1  # share of the disk that stays free
IN_USE = 3600.0  # seconds since its last use for which a copy stays


def local_copy(url: str, fetch: Callable[[Path], object]) -> Path:
    """Find the copy of a file, or fetch it.

    Args:
        url: URL of the file.
        fetch: Writes the file to a path; what it raises is raised.

    Returns:
        Path of the copy.
    """
    copy = _copy(url)
    folder, name = copy.parent, copy.name
    try:
        os.utime(copy)  # the time of its last use
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        make_room(folder)
        temporary = folder / f"{name}.{os.getpid()}-{threading.get_ident()}.part"
        try:
            fetch(temporary)
            temporary.replace(copy)
        finally:
            temporary.unlink(missing_ok=True)
    return copy


def forget(url: str) -> None:
    """Remove the copy of a file, if there is one.

    Args:
        url: URL of the file.
    """
    _copy(url).unlink(missing_ok=True)


def make_room(folder: Path) -> None:
    """Remove the least recently used copies until a tenth of the disk is free.

    Args:
        folder: Folder of the copies.
    """
    if _is_roomy(folder):
        return
    now = time.time()
    for used, copy in sorted(_last_uses(folder)):
        if now - used < IN_USE:
            break
        copy.unlink(missing_ok=True)
        if _is_roomy(folder):
            break


def _copy(url: str) -> Path:
    return cache_dir() / "copies" / hashlib.sha256(url.encode()).hexdigest()


def _is_roomy(folder: Path) -> bool:
    disk = shutil.disk_usage(folder)
    return disk.free >= FREE * disk.total


def _last_uses(folder: Path) -> list[tuple[float, Path]]:
    uses = []
    for copy in folder.iterdir():
        with suppress(FileNotFoundError):  # removed by another process
            uses.append((copy.stat().st_mtime, copy))
    return uses


def cache_dir() -> Path:
    """Find the folder of caches of this machine.

    Returns:
        $OLMIX_CACHE_DIR, or ``olmix`` in the user's cache folder.
    """
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "olmix"
    return Path(os.environ.get("OLMIX_CACHE_DIR") or default)
