"""Finding files by path, folder or glob, with what a listing tells of their content.

On S3 one listing gives names, sizes and ETags of a thousand objects, so that nothing is asked of each. A glob is walked
folder by folder, those of one level at once, and asks only for names that begin as the pattern does; below a `**` and
in a folder, everything is listed flat.
"""

import base64
import glob
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, takewhile
from typing import Any

from fsspec.utils import glob_translate

from olmix_core.storage.filesystem import filesystem, is_local, is_s3

AT_ONCE = 16  # requests under way


@dataclass(frozen=True)
class Found:
    """A file. `content` stands for its bytes where the listing tells it (see `fingerprint`); `size` is in bytes."""

    url: str
    size: int
    content: str | None = None


def expand_all(patterns: Sequence[str], suffixes: Sequence[str] = ()) -> list[list[Found] | Exception]:
    """`expand` for many patterns at once; what one of them raised is in its place."""

    def one(pattern: str) -> list[Found] | Exception:
        try:
            return expand(pattern, suffixes)
        except Exception as error:  # each kind of store has exceptions of its own
            return error

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, patterns))


def expand(pattern: str, suffixes: Sequence[str] = ()) -> list[Found]:
    """List the files at a path, in a folder, or of a glob.

    Args:
        pattern: the path, folder or glob.
        suffixes: where some files have one of these (in lower case), the others are left out: a folder may hold an
            index or a licence beside its data.

    Returns:
        The files, sorted by name; a file that is named outright whatever its suffix.

    Raises:
        OlmixError, OSError, ValueError: they cannot be listed.
    """
    fs, path = filesystem(pattern)
    if is_s3(pattern):
        named, found = _on_s3(fs, path)
    else:
        named, found = _elsewhere(fs, path)
    if named:
        return found
    # Hidden files and folders are no data, unless the pattern leads into them.
    fixed = len(_fixed(path))
    shown = [one for one in found if not any(part.startswith(".") for part in _parts(one.url)[fixed:])]
    with_suffix = [one for one in shown if one.url.lower().endswith(tuple(suffixes))]
    return sorted(with_suffix or shown, key=lambda one: one.url)


def look_up(urls: Sequence[str]) -> list[Found | None]:
    """Single files, many at once; None for one that is not there. Raises OlmixError, OSError."""

    def one(url: str) -> Found | None:
        fs, path = filesystem(url)
        if is_s3(url):
            bucket, _, key = path.partition("/")
            first = fs.first(bucket, key)
            return _of_page(bucket, first) if first is not None and first["Key"] == key else None
        try:
            info = fs.info(path)
        except FileNotFoundError:
            return None
        return _found(fs, path, info) if info["type"] == "file" else None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, urls))


def content_hash(info: dict[str, Any]) -> str | None:
    """What a listing says of the bytes of a file, by the names that stores use; None where it says nothing.

    In hexadecimal, so that an MD5 is the same wherever it was found.
    """
    if md5 := info.get("md5Hash"):
        return base64.b64decode(md5).hex()
    etag = info.get("ETag") or info.get("etag")
    return str(etag).strip('"') if etag else None


def _elsewhere(fs: Any, path: str) -> tuple[bool, list[Found]]:
    """Whether `path` names a file outright, and the files."""
    # What is there under this very name is meant, even where the name has the signs of a glob.
    if fs.isfile(path):
        return True, [_found(fs, path, fs.info(path))]
    if fs.isdir(path):
        path = f"{glob.escape(path.rstrip('/'))}/**"
    elif not glob.has_magic(path):
        return False, []
    infos = fs.glob(path, detail=True)
    return False, [_found(fs, name, info) for name, info in infos.items() if info["type"] == "file"]


def _found(fs: Any, name: str, info: dict[str, Any]) -> Found:
    return Found(fs.unstrip_protocol(name), int(info["size"]), None if is_local(fs) else content_hash(info))


def _on_s3(fs: Any, path: str) -> tuple[bool, list[Found]]:
    bucket, _, key = path.partition("/")
    if not key:
        return False, _flat(fs, bucket, [""])
    first = fs.first(bucket, key.rstrip("/"))
    if first is not None and first["Key"] == key:
        return True, [_of_page(bucket, first)]
    found = _flat(fs, bucket, [f"{key.rstrip('/')}/"]) if first is not None else []
    return False, found or (_walk(fs, bucket, key) if glob.has_magic(key) else [])


def _of_page(bucket: str, entry: dict[str, Any]) -> Found:
    return Found(f"s3://{bucket}/{entry['Key']}", int(entry["Size"]), content_hash(entry))


def _walk(fs: Any, bucket: str, key: str) -> list[Found]:
    parts = key.split("/")
    fixed = list(takewhile(lambda part: not glob.has_magic(part), parts))
    level = ["".join(f"{part}/" for part in fixed)]
    for position, part in enumerate(parts[len(fixed) :], start=len(fixed)):
        if "**" in part:
            matches = re.compile(glob_translate(key)).match
            return [one for one in _flat(fs, bucket, level) if matches(one.url.removeprefix(f"s3://{bucket}/"))]
        stem = re.split(r"[*?\[]", part, maxsplit=1)[0]
        matches = re.compile(glob_translate(part)).match
        folders, objects = _level(fs, bucket, [folder + stem for folder in level])
        if position == len(parts) - 1:
            return [one for one in objects if matches(one.url.rsplit("/", 1)[1])]
        level = [folder for folder in folders if matches(folder.rstrip("/").rsplit("/", 1)[-1])]
    return []


def _level(fs: Any, bucket: str, prefixes: Iterable[str]) -> tuple[list[str], list[Found]]:
    """The folders and the objects whose keys begin with one of `prefixes`, not looking into folders."""

    def one(prefix: str) -> tuple[list[str], list[Found]]:
        folders, objects = [], []
        for page in fs.pages(bucket, prefix, "/"):
            folders += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
            objects += _objects(bucket, page)
        return folders, objects

    return _gathered(one, prefixes)


def _flat(fs: Any, bucket: str, folders: Iterable[str]) -> list[Found]:
    """All objects below `folders`: of the first level at once, then of each folder in it."""

    def one(prefix: str) -> tuple[list[str], list[Found]]:
        return [], list(chain.from_iterable(_objects(bucket, page) for page in fs.pages(bucket, prefix)))

    below, objects = _level(fs, bucket, folders)
    return objects + _gathered(one, below)[1]


def _gathered(
    one: Callable[[str], tuple[list[str], list[Found]]], prefixes: Iterable[str]
) -> tuple[list[str], list[Found]]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(one, prefixes))
    return list(chain.from_iterable(f for f, _ in found)), list(chain.from_iterable(o for _, o in found))


def _objects(bucket: str, page: dict[str, Any]) -> list[Found]:
    # A key that ends in a slash is no file but what some tools leave for a folder.
    return [_of_page(bucket, entry) for entry in page.get("Contents", []) if not entry["Key"].endswith("/")]


def _fixed(path: str) -> list[str]:
    """The parts of a path before its first sign of a glob."""
    return list(takewhile(lambda part: not glob.has_magic(part), path.split("/")))


def _parts(url: str) -> list[str]:
    """The parts of the path of a URL."""
    return url.partition("://")[2].split("/")
