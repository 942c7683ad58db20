"""Columns of text, as Arrow and Parquet hold them."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from olmix_core.data.encoding import decode_utf8
from olmix_core.data.input_file import InputFile
from olmix_core.errors import DataError


def check_column(schema: pa.Schema, file: InputFile) -> None:
    """Check that a table has a column of text.

    Args:
        schema: The schema of the table.
        file: The file, which names the column.

    Raises:
        DataError: It has none of that name, or one of another type.
    """
    field = file.text_field
    if schema.names.count(field) != 1:
        columns = "it twice" if field in schema.names else f"only {', '.join(schema.names)}"
        raise DataError(
            f"{file.url}: column {field!r}: found {columns}; expected a column of text (set text_field to its name)"
        )
    kind = schema.field(field).type
    if not _is_text(kind):
        raise DataError(f"{file.url}: column {field!r}: found {kind}; expected text")


def texts(batches: Iterable[pa.RecordBatch], file: InputFile) -> Iterator[str]:
    """Read a column of text.

    Args:
        batches: The table, whose schema was checked.
        file: The file, which names the column.

    Yields:
        The text of each row.

    Raises:
        DataError: A row has none, or none in UTF-8.
    """
    row = 0
    for batch in batches:
        for text in batch.column(file.text_field).to_pylist():
            where = f"{file.url}: row {row}: column {file.text_field!r}"
            if text is None:
                raise DataError(f"{where}: found null; expected text")
            yield decode_utf8(text, where) if isinstance(text, bytes) else text
            row += 1


def _is_text(kind: pa.DataType) -> bool:
    """Whether the values are text, or bytes, which some programs write for text."""
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _is_text(kind.value_type)
    types = pa.types
    return any(
        check(kind)
        for check in (
            types.is_string,
            types.is_large_string,
            types.is_string_view,
            types.is_binary,
            types.is_large_binary,
            types.is_binary_view,
        )
    )
