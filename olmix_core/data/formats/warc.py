"""WARC files of extracted text, such as Common Crawl's WET: a record of plain text is a document.

The format is that of ISO 28500 (https://iipc.github.io/warc-specifications/): a version line, header lines, an empty
line, Content-Length bytes, and two empty lines.
"""

from collections.abc import Iterator
from typing import IO

from olmix_core.data.encoding import decode_utf8
from olmix_core.data.formats.registry import FORMATS, LARGEST, TOO_LARGE, TextFormat
from olmix_core.data.input_file import InputFile
from olmix_core.errors import DataError

LINE = 64 << 10  # bytes of a header line, at most
TEXTS = ("conversion", "resource")  # types of records that hold a text as such
ABOUT = ("warcinfo", "metadata", "request")  # types of records that are about others
_EXPECTED = "expected records that begin with WARC/1"


def _documents(raw: IO[bytes], file: InputFile) -> Iterator[str]:
    number = 0
    while (headers := _headers(raw, f"{file.url}: record {number + 1}")) is not None:
        number += 1
        where = f"{file.url}: record {number}"
        length = headers.get("content-length", "")
        if not length.isdecimal():
            raise DataError(f"{where}: found Content-Length {length!r}; expected a number of bytes")
        if int(length) > LARGEST:
            raise DataError(f"{where}: found {TOO_LARGE}")
        content = raw.read(int(length))
        if len(content) != int(length):
            raise EOFError("the file ends within a record")
        kind, media = headers.get("warc-type", ""), headers.get("content-type", "").partition(";")[0].strip()
        if kind in TEXTS and media == "text/plain":
            yield decode_utf8(content, where)
        elif kind not in ABOUT:
            raise DataError(
                f"{where}: found a {kind or 'nameless'} of {media or 'unknown type'}; expected extracted text"
                " (conversion of text/plain), as in WET files: extract the text first"
            )


def _headers(raw: IO[bytes], where: str) -> dict[str, str] | None:
    """The headers of the next record, their names in lower case; None at the end of the file."""
    line = raw.readline(LINE)
    while line in (b"\r\n", b"\n"):  # behind a record
        line = raw.readline(LINE)
    if not line:
        return None
    if not line.startswith(b"WARC/"):
        raise DataError(f"{where}: found {line[:20]!r}; {_EXPECTED}")
    headers: dict[str, str] = {}
    while (line := raw.readline(LINE)) not in (b"\r\n", b"\n"):
        if not line:
            raise EOFError("the file ends within a header")
        name, _, value = line.decode("utf-8", "replace").partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers


FORMATS.register(
    TextFormat(
        name="warc",
        description=(
            "WARC of extracted text (Common Crawl's WET): a `conversion` or `resource` of text/plain is a document"
        ),
        refused="pages as they were fetched (`response`): extract the text first",
        suffixes={".warc": 1, ".wet": 1},
        documents=_documents,
        has_fields=False,
    )
)
