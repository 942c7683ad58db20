"""Copies of files of a remote store on this machine: tokens to train on, weights, evidence.

    <cache>/copies/<SHA-256 of the URL>

Only files whose content never changes are copied, so a copy is never out of date. Copies may fill the disk but for a
tenth of it: beyond that, those unused for longest make room. One that was used within the last hour stays (its user
may be about to open it); one that is open and removed stays readable, and is fetched again when it is next asked for.
"""

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

FREE = 0.1  # share of the disk
IN_USE = 3600.0  # seconds


def local_copy(url: str, fetch: Callable[[Path], object]) -> Path:
    """The copy of `url`, brought by `fetch(path)` where there is none yet. Raises what `fetch` raises."""
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
    """Remove the copy of `url`, if there is one: it is not what it should be."""
    _copy(url).unlink(missing_ok=True)


def make_room(folder: Path) -> None:
    """Remove the copies unused for longest until a tenth of the disk is free."""
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
    found = []
    for copy in folder.iterdir():
        with suppress(FileNotFoundError):  # removed by another process
            found.append((copy.stat().st_mtime, copy))
    return found


def cache_dir() -> Path:
    """The folder for what this machine remembers for itself: $OLMIX_CACHE_DIR, else olmix in the user's cache."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "olmix"
    return Path(os.environ.get("OLMIX_CACHE_DIR") or default)
