"""JSON lines, plain or compressed with gzip or zstd: a line is a document."""

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from typing import IO

import zstandard

from olmix_core.data.encoding import HALF_A_CHARACTER, decode_utf8, is_utf8
from olmix_core.data.formats.registry import LARGEST, TOO_LARGE, TextFormat, register, suffix_of
from olmix_core.data.input_file import InputFile
from olmix_core.errors import DataError


def _documents(raw: IO[bytes], file: InputFile) -> Iterator[str]:
    lines = _decompressed(raw, suffix_of(file.url))
    for number, line in enumerate(iter(lambda: lines.readline(LARGEST + 1), b""), start=1):
        where = f"{file.url}: line {number}"
        if len(line) > LARGEST:
            raise DataError(f"{where}: found {TOO_LARGE}")
        if not line.strip():
            continue
        try:
            record = json.loads(decode_utf8(line, where))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: found no JSON ({error}); expected one JSON object a line") from error
        text = record.get(file.text_field) if isinstance(record, dict) else None
        if not isinstance(text, str):
            kind = type(text).__name__ if isinstance(record, dict) and file.text_field in record else "nothing"
            raise DataError(
                f"{where}: field {file.text_field!r}: found {kind}; expected text (set text_field to its name)"
            )
        if not is_utf8(text):
            raise DataError(f"{where}: field {file.text_field!r}: {HALF_A_CHARACTER}")
        yield text


def _decompressed(raw: IO[bytes], suffix: str | None) -> IO[bytes]:
    if suffix == ".jsonl.gz":
        return gzip.open(raw)  # type: ignore[return-value]
    if suffix == ".jsonl.zst":
        reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        return io.BufferedReader(reader)
    return raw


register(
    TextFormat(
        name="jsonl",
        description="JSON lines: a line is a document, its text in the field text_field",
        suffixes={".jsonl": 1, ".jsonl.gz": 4, ".jsonl.zst": 4},
        documents=_documents,
        errors=(zlib.error, zstandard.ZstdError),
    )
)
