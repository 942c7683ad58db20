"""JSON lines: a line is a document."""

import json
from collections.abc import Iterator
from typing import IO

from olmix_core.data.encoding import decode_utf8
from olmix_core.data.formats.registry import FORMATS, LARGEST, TOO_LARGE, TextFormat
from olmix_core.data.input_file import InputFile
from olmix_core.data.records import BOM, text_of
from olmix_core.errors import DataError


def _documents(raw: IO[bytes], file: InputFile) -> Iterator[str]:
    for number, line in enumerate(iter(lambda: raw.readline(LARGEST + 1), b""), start=1):
        where = f"{file.url}: line {number}"
        if len(line) > LARGEST:
            raise DataError(f"{where}: found {TOO_LARGE}")
        content = line.removeprefix(BOM) if number == 1 else line
        if not content.strip():
            continue
        try:
            record = json.loads(decode_utf8(content, where))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: found no JSON ({error}); expected one JSON object a line") from error
        yield text_of(record, file, where)


FORMATS.register(
    TextFormat(
        name="jsonl",
        description=(
            "JSON lines: a line is a document, its text in the field `text_field`; a byte order mark is passed over"
        ),
        refused="a line that is no object, or has no text in the field",
        suffixes={".jsonl": 1, ".ndjson": 1},
        documents=_documents,
    )
)
