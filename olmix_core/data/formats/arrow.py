"""Arrow IPC files and streams, Feather and the files of Hugging Face datasets among them: a row is a document."""

from collections.abc import Iterable, Iterator
from typing import IO

import pyarrow as pa

from olmix_core.data.columns import check_column, texts
from olmix_core.data.formats.registry import FORMATS, TextFormat
from olmix_core.data.input_file import InputFile

MAGIC = b"ARROW1"  # of a file; a stream has none


def _documents(raw: IO[bytes], file: InputFile) -> Iterator[str]:
    is_file = raw.read(len(MAGIC)) == MAGIC
    raw.seek(0)
    if is_file:
        table = pa.ipc.open_file(raw)
        check_column(table.schema, file)
        batches = (table.get_batch(number) for number in range(table.num_record_batches))
        yield from texts(_valid(batches, file), file)
    else:
        stream = pa.ipc.open_stream(raw)
        check_column(stream.schema, file)
        yield from texts(_valid(stream, file), file)


def _valid(batches: Iterable[pa.RecordBatch], file: InputFile) -> Iterator[pa.RecordBatch]:
    """Raise if offsets point outside the text: Arrow reads what they point at."""
    for batch in batches:
        batch.column(file.text_field).validate(full=True)
        yield batch


FORMATS.register(
    TextFormat(
        name="arrow",
        description=(
            "Arrow IPC files and streams (Feather, Hugging Face datasets): a row is a document, its text in the"
            " column `text_field`"
        ),
        refused="nulls; columns of other types; Feather of version 1",
        suffixes={".arrow": 1, ".feather": 2},
        documents=_documents,
        errors=(pa.ArrowException, MemoryError),  # of sizes that damage made enormous
        is_sequential=False,
    )
)
