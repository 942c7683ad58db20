"""Parquet: a row is a document."""

from collections.abc import Iterator
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from olmix_core.data.formats.registry import TextFormat, register
from olmix_core.data.input_file import InputFile
from olmix_core.errors import DataError

ROWS_AT_ONCE = 1024


def _documents(raw: IO[bytes], file: InputFile) -> Iterator[str]:
    table = pq.ParquetFile(raw)
    field = file.text_field
    if field not in table.schema_arrow.names:
        columns = ", ".join(table.schema_arrow.names)
        raise DataError(
            f"{file.url}: column {field!r}: found only {columns}; expected a column of text (set text_field to its"
            " name)"
        )
    kind = table.schema_arrow.field(field).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise DataError(f"{file.url}: column {field!r}: found {kind}; expected text")
    row = 0
    for batch in table.iter_batches(batch_size=ROWS_AT_ONCE, columns=[field]):
        for text in batch.column(0).to_pylist():
            if text is None:
                raise DataError(f"{file.url}: row {row}: column {field!r}: found null; expected text")
            yield text
            row += 1


register(
    TextFormat(
        name="parquet",
        description="Parquet: a row is a document, its text in the column text_field",
        suffixes={".parquet": 2},
        documents=_documents,
        errors=(pa.ArrowException,),
        is_sequential=False,
    )
)
