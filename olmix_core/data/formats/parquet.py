"""Parquet: a row is a document."""

from collections.abc import Iterator
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from olmix_core.data.columns import check_column, texts
from olmix_core.data.formats.registry import FORMATS, TextFormat
from olmix_core.data.input_file import InputFile

ROWS_AT_ONCE = 1024


def _documents(raw: IO[bytes], file: InputFile) -> Iterator[str]:
    table = pq.ParquetFile(raw)
    check_column(table.schema_arrow, file)
    yield from texts(table.iter_batches(batch_size=ROWS_AT_ONCE, columns=[file.text_field]), file)


FORMATS.register(
    TextFormat(
        name="parquet",
        description=(
            "Parquet: a row is a document, its text in the column `text_field` (also as dictionary, view or bytes)"
        ),
        refused="nulls; columns of other types; nested columns",
        suffixes={".parquet": 2},
        documents=_documents,
        errors=(pa.ArrowException,),
        is_sequential=False,
    )
)
