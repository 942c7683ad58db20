"""How files are reached, wherever they are: every fsspec URL goes through here.

S3 has a module of its own (`s3`); other kinds are fsspec's, without its memory of listings, which would be out of date
as soon as another machine writes.
"""

import io
from collections.abc import Iterable
from typing import IO, Any, cast

import fsspec
from fsspec.core import split_protocol

from olmix_core.storage.credentials import refuse_credentials

BLOCK = 8 << 20  # bytes asked for at once of a file that is streamed


def is_s3(url: str) -> bool:
    return split_protocol(url)[0] in ("s3", "s3a")


def filesystem(url: str) -> tuple[Any, str]:
    """The file system of `url`, and the path in it.

    Raises:
        OlmixError: the URL carries credentials.
        OSError: there is no such kind of URL, or its package is not installed.
    """
    refuse_credentials(url, "a path or store")
    if is_s3(url):
        from olmix_core.storage import s3  # half a second, where it is needed

        return s3.filesystem(), str(s3.S3._strip_protocol(url))
    remembering = {} if "://" not in url or url.startswith("file:") else {"use_listings_cache": False}
    try:
        fs, path = fsspec.url_to_fs(url, **remembering)
    except (ValueError, ImportError) as error:
        raise OSError(str(error)) from error
    return fs, str(path)


def is_local(fs: Any) -> bool:
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def open_file(url: str, block: int | None = BLOCK) -> IO[bytes]:
    """Open `url` to be read from beginning to end, `block` bytes asked for at once and each byte once; or (None) here
    and there, with nothing read that is not asked for. Raises OlmixError, OSError.
    """
    fs, path = filesystem(url)
    opened: IO[bytes]
    if is_local(fs):
        opened = fs.open(path, "rb")
        return opened
    opened = fs.open(path, "rb", cache_type="none")
    # fsspec's own reading of lines goes back and forth, and asks for most bytes twice.
    return opened if block is None else cast(IO[bytes], io.BufferedReader(opened, block))


def check_reachable(urls: Iterable[str]) -> None:
    """Find out within seconds whether the servers of `urls` answer, before patience is spent on them.

    Raises ConnectionError where one does not, PermissionError where there are no credentials.
    """
    for bucket in sorted({filesystem(url)[1].partition("/")[0] for url in urls if is_s3(url)}):
        from olmix_core.storage import s3

        s3.knock(bucket)


def reason_of(error: OSError) -> str:
    """What went wrong, to be put after a colon."""
    words = error.strerror or str(error)
    return words[:1].lower() + words[1:] if error.strerror else words
