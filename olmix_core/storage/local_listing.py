"""Listing of local files by folder or glob; symbolic links are followed.

A link to a folder that it lies in (a loop) is passed over: everything there is listed anyway. A link that leads nowhere
is listed as what it is, since data may be missing.
"""

import os
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from fsspec.utils import glob_translate

Identity = tuple[int, int]  # device and inode of a folder


@dataclass(frozen=True)
class LocalEntry:
    """A file, a link that leads nowhere, or what is no file: a pipe, a socket or a device.

    Attributes:
        path: Its path, as it was found.
        size: Its size in bytes.
        real: Its path without links.
        leads_to: Where a link leads to that leads nowhere; empty for what is no file.
    """

    path: str
    size: int
    real: str
    leads_to: str | None = None


@dataclass(frozen=True)
class _Folder:
    """A folder on the way.

    Attributes:
        path: Its path, as it was found; it ends in a slash.
        real: Its path without links.
        above: The folders that lead to it, and those it lies in.
        is_link: Whether it is a link to a folder.
    """

    path: str
    real: str
    above: frozenset[Identity]
    is_link: bool = False

    @property
    def within(self) -> frozenset[Identity]:
        """`above`, and the folder itself."""
        return self.above | {_identity(self.real)}


def list_file(path: str) -> LocalEntry | None:
    """Look a single file up.

    Args:
        path: Its path.

    Returns:
        The file, or the link that leads nowhere; None where there is neither.
    """
    real = os.path.realpath(path)
    if Path(real).is_file():
        return LocalEntry(path, Path(real).stat().st_size, real)
    is_broken = Path(path).is_symlink() and not os.path.exists(path)  # noqa: PTH110  # a loop is no error of its own
    return LocalEntry(path, 0, path, os.readlink(path)) if is_broken else None  # noqa: PTH115


def walk(root: str, parts: list[str]) -> list[LocalEntry]:
    """List the files that match a glob; hidden ones are left out.

    Args:
        root: The folder that the glob is relative to.
        parts: The parts of the glob.

    Returns:
        The files, and links that lead nowhere.

    Raises:
        OSError: A folder cannot be listed.
    """
    root = f"{root.rstrip('/')}/"
    real = os.path.realpath(root)
    if not Path(real).is_dir():
        return []
    above = frozenset(_identity(str(folder)) for folder in Path(real).parents)
    level, files = [_Folder(root, real, above)], list[LocalEntry]()
    for position, part in enumerate(parts):
        if "**" in part:
            relative = re.compile(glob_translate("/".join(parts)))
            # Where only the name of the file counts behind `**`, a folder is looked at under one of its names.
            files += _below(level, root, relative, each_once=len(parts) - position <= 2)
            break
        matches, is_last = re.compile(glob_translate(part)).match, position == len(parts) - 1
        following: list[_Folder] = []
        for folder in level:
            for entry in _entries(folder):
                name = entry.path.rpartition("/")[2] if isinstance(entry, LocalEntry) else entry.path.split("/")[-2]
                if not matches(name):
                    continue
                if isinstance(entry, _Folder):
                    following.append(entry)
                elif is_last or entry.leads_to is not None:
                    files.append(entry)
        level = following
    return files


def _below(level: list[_Folder], root: str, relative: re.Pattern[str], *, each_once: bool) -> Iterator[LocalEntry]:
    """The files below folders; real folders come before links to them, each folder once where names do not count."""
    folders = {is_link: deque(folder for folder in level if folder.is_link == is_link) for is_link in (False, True)}
    seen: set[Identity] = set()
    while folders[False] or folders[True]:
        folder = folders[not folders[False]].popleft()
        if each_once:
            identity = _identity(folder.real)
            if identity in seen:
                continue
            seen.add(identity)
        for entry in _entries(folder):
            if isinstance(entry, _Folder):
                folders[entry.is_link].append(entry)
            # A link that leads nowhere and has no suffix may stand for a folder.
            elif relative.match(entry.path.removeprefix(root)) or (
                entry.leads_to is not None and "." not in entry.path.rpartition("/")[2]
            ):
                yield entry


def _entries(folder: _Folder) -> Iterator[LocalEntry | _Folder]:
    """The files and folders in a folder, by name; without hidden ones, and without loops."""
    try:
        with os.scandir(folder.path) as entries:
            shown = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda each: each.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    within = folder.within
    for entry in shown:
        path = f"{folder.path}{entry.name}"
        real = os.path.realpath(path) if entry.is_symlink() else f"{folder.real.rstrip('/')}/{entry.name}"
        try:
            status = os.stat(real)  # noqa: PTH116
        except OSError:
            if entry.is_symlink():
                yield LocalEntry(path, 0, path, os.readlink(path))  # noqa: PTH115
            continue
        if S_ISDIR(status.st_mode):
            if (status.st_dev, status.st_ino) not in within:
                yield _Folder(f"{path}/", real, within, entry.is_symlink())
        elif S_ISREG(status.st_mode):
            yield LocalEntry(path, status.st_size, real)
        else:
            yield LocalEntry(path, 0, real, leads_to="")


def _identity(path: str) -> Identity:
    status = os.stat(path)  # noqa: PTH116
    return status.st_dev, status.st_ino
