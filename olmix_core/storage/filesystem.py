"""File systems: every URL is opened through here, with fsspec.

S3 has a module of its own (`s3`). Other kinds are fsspec's without its cache of listings, which would be out of date as
soon as another machine writes.
"""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, cast

import fsspec
from fsspec.core import split_protocol

from olmix_core.storage.credentials import refuse_credentials

BLOCK = 8 << 20  # bytes requested at once of a file that is streamed


def is_s3(url: str) -> bool:
    """Tell whether a URL is on S3.

    Args:
        url: The URL.

    Returns:
        Whether it is.
    """
    return split_protocol(url)[0] in ("s3", "s3a")


def filesystem(url: str) -> tuple[Any, str]:
    """Find the file system of a URL.

    Args:
        url: Path or URL.

    Returns:
        (fsspec file system, path in it).

    Raises:
        OlmixError: The URL carries credentials.
        OSError: There is no such kind of URL, or its package is not installed.
    """
    refuse_credentials(url, "a path or store")
    if is_s3(url):
        from olmix_core.storage import s3  # takes half a second to import

        return s3.filesystem(), s3.path_of(url)
    options = {} if "://" not in url or url.startswith("file:") else {"use_listings_cache": False}
    try:
        fs, path = fsspec.url_to_fs(url, **options)
    except (ValueError, ImportError) as error:
        raise OSError(str(error)) from error
    return fs, str(path)


def is_local(fs: Any) -> bool:
    """Tell whether a file system is that of this machine.

    Args:
        fs: An fsspec file system.

    Returns:
        Whether it is.
    """
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def open_file(url: str, block: int | None = BLOCK) -> IO[bytes]:
    """Open a file for reading.

    Args:
        url: Path or URL.
        block: Bytes requested at once, for a remote file that is read from beginning to end. None for a file that is
            read in places: only the bytes asked for are requested.

    Returns:
        The open file.

    Raises:
        OlmixError: The URL carries credentials.
        OSError: The file cannot be opened.
    """
    fs, path = filesystem(url)
    if is_local(fs):
        return Path(path).open("rb")
    file = cast(IO[bytes], fs.open(path, "rb", cache_type="none"))
    # fsspec's own reading of lines goes back and forth, and requests most bytes twice.
    return file if block is None else cast(IO[bytes], io.BufferedReader(cast(Any, file), block))


def check_reachable(urls: Iterable[str]) -> None:
    """Check within seconds that the servers of URLs answer, before long time-outs are spent on them.

    Args:
        urls: Paths or URLs; only those on S3 are checked.

    Raises:
        ConnectionError: A server does not answer.
        PermissionError: There are no credentials.
    """
    for bucket in sorted({filesystem(url)[1].partition("/")[0] for url in urls if is_s3(url)}):
        from olmix_core.storage import s3

        s3.check_reachable(bucket)


def reason_of(error: OSError) -> str:
    """Word an error, to be put after a colon.

    Args:
        error: The error.

    Returns:
        Its reason, beginning in lower case.
    """
    words = error.strerror or str(error)
    return words[:1].lower() + words[1:] if error.strerror else words
