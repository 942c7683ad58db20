"""CSV and TSV with a header: a row is a document."""

import csv
from collections.abc import Iterator
from typing import IO

from olmix_core.data.encoding import decode_utf8
from olmix_core.data.formats.registry import FORMATS, LARGEST, TOO_LARGE, TextFormat, suffix_of
from olmix_core.data.input_file import InputFile
from olmix_core.data.records import BOM
from olmix_core.errors import DataError

csv.field_size_limit(LARGEST)  # by default 128 KiB, less than many documents


def _documents(raw: IO[bytes], file: InputFile) -> Iterator[str]:
    is_tsv = (suffix_of(file.url) or "").startswith(".tsv")
    rows = csv.reader(_lines(raw, file.url), delimiter="\t" if is_tsv else ",", strict=True)
    try:
        header = [name.strip() for name in next(rows, [])]
        if header.count(file.text_field) != 1:
            only = f"found only {', '.join(header)}" if header else "found an empty file"
            count = "found twice" if file.text_field in header else only
            raise DataError(
                f"{file.url}: column {file.text_field!r}: {count}; expected a header with a column of text (set"
                f" text_field to its name), fields separated by {'tabs' if is_tsv else 'commas'}"
            )
        column = header.index(file.text_field)
        for row in rows:
            if not row:
                continue  # an empty line
            if len(row) != len(header):
                raise DataError(
                    f"{file.url}: line {rows.line_num}: found {len(row)} fields; expected {len(header)}, as in the"
                    " header"
                )
            yield row[column]
    except csv.Error as error:
        raise DataError(
            f"{file.url}: line {rows.line_num}: {error}; expected fields in double quotes, quotes in them doubled"
        ) from error


def _lines(raw: IO[bytes], url: str) -> Iterator[str]:
    for number, line in enumerate(iter(lambda: raw.readline(LARGEST + 1), b""), start=1):
        if len(line) > LARGEST:
            raise DataError(f"{url}: line {number}: found {TOO_LARGE}")
        yield decode_utf8(line.removeprefix(BOM) if number == 1 else line, f"{url}: line {number}")


FORMATS.register(
    TextFormat(
        name="csv",
        description="CSV and TSV with a header: a row is a document, its text in the column `text_field`",
        refused="no header; other separators; rows of another length; quotes that do not match",
        suffixes={".csv": 1, ".tsv": 1},
        documents=_documents,
    )
)
