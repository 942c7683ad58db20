"""Plain text: a file is a document."""

from collections.abc import Iterator
from typing import IO

from olmix_core.data.encoding import decode_utf8
from olmix_core.data.formats.registry import FORMATS, LARGEST, TOO_LARGE, TextFormat
from olmix_core.data.input_file import InputFile
from olmix_core.errors import DataError


def _documents(raw: IO[bytes], file: InputFile) -> Iterator[str]:
    content = raw.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise DataError(f"{file.url}: found {TOO_LARGE}")
    yield decode_utf8(content, file.url)


FORMATS.register(
    TextFormat(
        name="text",
        description="plain text: a file is a document",
        refused="bytes that are not UTF-8",
        suffixes={".txt": 1},
        documents=_documents,
        has_fields=False,
    )
)
