"""Compression of files of text: a table that every format which is read from beginning to end is combined with.

The suffix of a file names its compression. The first bytes decide where they name another one: a gzip that is called
`.jsonl` is read as the gzip it is.
"""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

import zstandard

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Decompressed at once. A block of zstd unpacks to at most 128 KiB from four bytes, so that this bounds the memory.
ZSTD_BYTES = 4 << 10
LARGEST_WINDOW = 1 << 31  # of zstd, as `zstd --long=31` uses it


@dataclass(frozen=True)
class Compression:
    """A kind of compression.

    Attributes:
        name: Its name, for people.
        suffixes: Its suffixes, in lower case.
        magic: The first bytes of every such file.
        open: Open a compressed stream for reading.
        growth: Bytes of text that a compressed byte usually holds.
    """

    name: str
    suffixes: tuple[str, ...]
    magic: bytes
    open: Callable[[IO[bytes]], IO[bytes]]
    growth: int = 4


class _ZstdStream(io.RawIOBase):
    """A stream of zstd frames; raises EOFError where it ends within one."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._frame: Any = None
        self._compressed = self._ready = b""

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill a buffer.

        Args:
            buffer: The buffer.

        Returns:
            The number of bytes written to it; 0 at the end.

        Raises:
            EOFError: The stream ends within a frame.
            zstandard.ZstdError: It is damaged.
        """
        view = memoryview(buffer).cast("B")
        while not self._ready and self._advance():
            pass
        size = min(len(view), len(self._ready))
        view[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _advance(self) -> bool:
        """Decompress a piece; False at the end."""
        piece = self._compressed or self._raw.read(ZSTD_BYTES)
        if not piece:
            if self._frame is not None:
                raise EOFError("Compressed file ended before the end of its last frame")
            return False
        if self._frame is None:
            self._frame = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW).decompressobj()
        self._ready = self._frame.decompress(piece)
        self._compressed = self._frame.unused_data
        if self._frame.eof:
            self._frame = None
        return True


COMPRESSIONS = (
    Compression("gzip", (".gz",), b"\x1f\x8b\x08", lambda raw: cast(IO[bytes], gzip.GzipFile(fileobj=raw))),
    Compression("bzip2", (".bz2",), b"BZh", lambda raw: bz2.BZ2File(raw)),
    Compression("xz", (".xz",), b"\xfd7zXZ\x00", lambda raw: lzma.LZMAFile(raw)),  # noqa: SIM115
    Compression("zstd", (".zst", ".zstd"), b"\x28\xb5\x2f\xfd", lambda raw: io.BufferedReader(_ZstdStream(raw))),
)
DAMAGE: tuple[type[Exception], ...] = (EOFError, OSError, zlib.error, lzma.LZMAError, zstandard.ZstdError)
_BZIP2_BLOCK = b"1AY&SY"  # follows the level in a bzip2, whose magic number alone could begin a text
HEAD = 10  # bytes that show the compression


def compression_suffixes() -> tuple[str, ...]:
    """List the suffixes of compressed files.

    Returns:
        The suffixes, in the order of the table.
    """
    return tuple(suffix for each in COMPRESSIONS for suffix in each.suffixes)


def compression_of(name: str) -> Compression | None:
    """Find the compression that the suffix of a file names.

    Args:
        name: The file, or its suffix.

    Returns:
        The compression; None for a file that is not compressed.
    """
    return next((each for each in COMPRESSIONS if name.lower().endswith(each.suffixes)), None)


def compression_at(head: bytes) -> Compression | None:
    """Find the compression that the first bytes of a file show.

    Args:
        head: At least the first ten bytes.

    Returns:
        The compression; None where they show none.
    """
    compression = next((each for each in COMPRESSIONS if head.startswith(each.magic)), None)
    if compression is not None and compression.name == "bzip2" and head[4:HEAD] != _BZIP2_BLOCK:
        return None
    return compression


def decompressed(raw: IO[bytes], name: str) -> IO[bytes]:
    """Open a file of text, decompressed.

    Args:
        raw: The file, open at its beginning.
        name: Its name, whose suffix names its compression.

    Returns:
        The text. Reading it raises one of `DAMAGE` where the file is damaged.
    """
    peekable = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, raw))
    by_content = compression_at(peekable.peek(HEAD))
    compression = by_content or compression_of(name)
    return peekable if compression is None else compression.open(peekable)
