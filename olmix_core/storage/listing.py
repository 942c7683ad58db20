"""Listing of files by path, folder or glob, with what the listing tells of their content.

On S3 one listing gives names, sizes and ETags of a thousand objects, so that no file is asked for by itself. A glob is
walked folder by folder, those of one level at once, and requests only names that begin as the pattern does; below a
`**` and in a folder, everything is listed flat.
"""

import base64
import glob
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, takewhile
from pathlib import Path, PurePosixPath
from typing import Any

from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import glob_translate

from olmix_core.serialization import JsonMapping
from olmix_core.storage.filesystem import filesystem, is_local, is_s3
from olmix_core.storage.local_listing import LocalEntry, list_file, walk

AT_ONCE = 16  # requests in progress


@dataclass(frozen=True)
class ListedFile:
    """A file as it was listed.

    Attributes:
        url: Its URL.
        size: Its size in bytes.
        content: Content hash (`content_index`), None where the listing has none.
        is_named: Whether the pattern is the name of this file.
        real: Path of a local file without links: the same for all links to a file.
        leads_to: Where a local link leads to that leads nowhere; empty for a pipe, socket or device; None for files.
    """

    url: str
    size: int
    content: str | None = None
    is_named: bool = False
    real: str | None = None
    leads_to: str | None = None


def expand_all(patterns: Sequence[str]) -> list[list[ListedFile] | Exception]:
    """Expand many patterns at once.

    Args:
        patterns: Paths, folders or globs.

    Returns:
        For each pattern its files, or the error that `expand` raised.
    """

    def expand_one(pattern: str) -> list[ListedFile] | Exception:
        try:
            return expand(pattern)
        except Exception as error:  # each kind of store has exceptions of its own
            return error

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(expand_one, patterns))


def expand(pattern: str) -> list[ListedFile]:
    """List the files at a path, in a folder, or of a glob. Local links are followed.

    Args:
        pattern: The path, folder or glob.

    Returns:
        The files, sorted by name, and the links among them that lead nowhere. Hidden files and folders are left out,
        unless the pattern leads into them.

    Raises:
        OlmixError: The pattern carries credentials.
        OSError: The files cannot be listed.
        ValueError: The pattern is malformed.
    """
    fs, path = filesystem(pattern)
    if is_s3(pattern):
        is_named, files = _list_s3(fs, path)
    else:
        is_named, files = _list_local(fs, path) if is_local(fs) else _list_other(fs, path)
    if is_named:
        return [replace(file, is_named=True) for file in files]
    fixed = len(_fixed_parts(path))
    shown = [file for file in files if not any(part.startswith(".") for part in _parts(file.url)[fixed:])]
    return sorted(shown, key=lambda file: file.url)


def list_below(path: Path) -> list[ListedFile]:
    """List the files in a local folder, whatever it is called; links are followed.

    Args:
        path: The folder, or a file.

    Returns:
        The files, and links that lead nowhere, without hidden ones.

    Raises:
        OSError: A folder cannot be listed.
    """
    return _list_local(LocalFileSystem(), str(path.absolute()))[1]


def stat_files(urls: Sequence[str]) -> list[ListedFile | None]:
    """Look single files up, many at once.

    Args:
        urls: URLs of the files.

    Returns:
        For each URL its file, or None where there is none.

    Raises:
        OlmixError: A URL carries credentials.
        OSError: A file cannot be looked up.
    """

    def stat(url: str) -> ListedFile | None:
        fs, path = filesystem(url)
        if is_s3(url):
            bucket, _, key = path.partition("/")
            first = fs.first(bucket, key)
            return _of_entry(bucket, first) if first is not None and first["Key"] == key else None
        try:
            info = fs.info(path)
        except FileNotFoundError:
            return None
        return _of_info(fs, path, info) if info["type"] == "file" else None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(stat, urls))


def content_hash(info: JsonMapping) -> str | None:
    """Find the content hash of a file in what a listing tells of it.

    Args:
        info: Fields of the listing, by the names that the kind of store uses.

    Returns:
        The hash in hexadecimal, so that an MD5 is the same whichever store tells it, or None.
    """
    if md5 := info.get("md5Hash"):
        return base64.b64decode(str(md5)).hex()
    etag = info.get("ETag") or info.get("etag")
    return str(etag).strip('"') if etag else None


def _list_local(fs: Any, path: str) -> tuple[bool, list[ListedFile]]:
    """List the files of a pattern on this machine; the first value tells whether `path` names a file exactly."""

    def listed(entry: LocalEntry) -> ListedFile:
        return ListedFile(fs.unstrip_protocol(entry.path), entry.size, real=entry.real, leads_to=entry.leads_to)

    # A file of this very name is meant, even where the name has the signs of a glob.
    if (entry := list_file(path)) is not None:
        return True, [listed(entry)]
    if Path(path).is_dir():
        return False, [listed(entry) for entry in walk(path, ["**"])]
    if not glob.has_magic(path):
        return False, []
    fixed = _fixed_parts(path)
    return False, [listed(entry) for entry in walk("/".join(fixed), path.split("/")[len(fixed) :])]


def _list_other(fs: Any, path: str) -> tuple[bool, list[ListedFile]]:
    """List the files of a pattern on another kind of store; the first value tells whether `path` names a file."""
    # A file of this very name is meant, even where the name has the signs of a glob.
    if fs.isfile(path):
        return True, [_of_info(fs, path, fs.info(path))]
    if fs.isdir(path):
        path = f"{glob.escape(path.rstrip('/'))}/**"
    elif not glob.has_magic(path):
        return False, []
    infos = fs.glob(path, detail=True)
    return False, [_of_info(fs, name, info) for name, info in infos.items() if info["type"] == "file"]


def _of_info(fs: Any, name: str, info: dict[str, Any]) -> ListedFile:
    return ListedFile(fs.unstrip_protocol(name), int(info["size"]), None if is_local(fs) else content_hash(info))


def _list_s3(fs: Any, path: str) -> tuple[bool, list[ListedFile]]:
    """List the files of a pattern on S3; the first value tells whether `path` names a file exactly."""
    bucket, _, key = path.partition("/")
    if not key:
        return False, _flat(fs, bucket, [""])
    first = fs.first(bucket, key.rstrip("/"))
    is_named = first is not None and first["Key"] == key
    if first is not None and is_named and int(first["Size"]):
        return True, [_of_entry(bucket, first)]
    # An object without content beside others below its name is what some tools leave for a folder.
    below = _flat(fs, bucket, [f"{key.rstrip('/')}/"]) if first is not None else []
    if first is not None and is_named and not below:
        return True, [_of_entry(bucket, first)]
    return False, below or (_walk(fs, bucket, key) if glob.has_magic(key) else [])


def _of_entry(bucket: str, entry: dict[str, Any]) -> ListedFile:
    return ListedFile(f"s3://{bucket}/{entry['Key']}", int(entry["Size"]), content_hash(entry))


def _walk(fs: Any, bucket: str, key: str) -> list[ListedFile]:
    """The objects that match the glob `key`."""
    parts = key.split("/")
    fixed = _fixed_parts(key)
    level = ["".join(f"{part}/" for part in fixed)]
    for position, part in enumerate(parts[len(fixed) :], start=len(fixed)):
        if "**" in part:
            matches = re.compile(glob_translate(key)).match
            return [file for file in _flat(fs, bucket, level) if matches(file.url.removeprefix(f"s3://{bucket}/"))]
        stem = re.split(r"[*?\[]", part, maxsplit=1)[0]
        matches = re.compile(glob_translate(part)).match
        folders, objects = _level(fs, bucket, [folder + stem for folder in level])
        if position == len(parts) - 1:
            return [file for file in objects if matches(file.url.rsplit("/", 1)[1])]
        level = [folder for folder in folders if matches(folder.rstrip("/").rsplit("/", 1)[-1])]
    return []


def _level(fs: Any, bucket: str, prefixes: Iterable[str]) -> tuple[list[str], list[ListedFile]]:
    """The folders and the objects whose keys begin with one of `prefixes`, without those inside the folders."""

    def of_prefix(prefix: str) -> tuple[list[str], list[ListedFile]]:
        folders, objects = [], []
        for page in fs.pages(bucket, prefix, "/"):
            folders += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
            objects += _objects(bucket, page)
        return folders, objects

    folders, objects = _gather(of_prefix, prefixes)
    return folders, _without_markers(objects, folders)


def _without_markers(objects: Iterable[ListedFile], folders: Iterable[str]) -> list[ListedFile]:
    """The objects without the empty ones that are called as a folder: some tools leave them for it."""
    names = {folder.rstrip("/") for folder in folders}
    return [file for file in objects if file.size or file.url.partition("://")[2].partition("/")[2] not in names]


def _flat(fs: Any, bucket: str, folders: Iterable[str]) -> list[ListedFile]:
    """All objects below `folders`: of the first level at once, then of each folder in it."""

    def below_prefix(prefix: str) -> tuple[list[str], list[ListedFile]]:
        return [], list(chain.from_iterable(_objects(bucket, page) for page in fs.pages(bucket, prefix)))

    below, objects = _level(fs, bucket, folders)
    objects += _gather(below_prefix, below)[1]
    keys = [file.url.partition("://")[2].partition("/")[2] for file in objects]
    return _without_markers(objects, {str(folder) for key in keys for folder in PurePosixPath(key).parents})


def _gather(
    list_prefix: Callable[[str], tuple[list[str], list[ListedFile]]], prefixes: Iterable[str]
) -> tuple[list[str], list[ListedFile]]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        listings = list(pool.map(list_prefix, prefixes))
    return (
        list(chain.from_iterable(folders for folders, _ in listings)),
        list(chain.from_iterable(objects for _, objects in listings)),
    )


def _objects(bucket: str, page: dict[str, Any]) -> list[ListedFile]:
    # A key that ends in a slash is a marker of a folder too.
    return [_of_entry(bucket, entry) for entry in page.get("Contents", []) if not entry["Key"].endswith("/")]


def _fixed_parts(path: str) -> list[str]:
    """The parts of a path before its first sign of a glob."""
    return list(takewhile(lambda part: not glob.has_magic(part), path.split("/")))


def _parts(url: str) -> list[str]:
    """The parts of the path of a URL."""
    return url.partition("://")[2].split("/")
