"""The text of one record: a JSON object with a field of text."""

from olmix_core.data.encoding import HALF_A_CHARACTER, is_utf8
from olmix_core.data.input_file import InputFile
from olmix_core.errors import DataError

BOM = b"\xef\xbb\xbf"  # some programs write it at the beginning of text in UTF-8


def text_of(record: object, file: InputFile, where: str) -> str:
    """Take the text out of a record.

    Args:
        record: What a JSON parser returned.
        file: The file, which names the field.
        where: The file and the place in it, for messages.

    Returns:
        The text.

    Raises:
        DataError: The record has no text in that field.
    """
    text = record.get(file.text_field) if isinstance(record, dict) else None
    if not isinstance(text, str):
        kind = type(text).__name__ if isinstance(record, dict) and file.text_field in record else "nothing"
        raise DataError(
            f"{where}: field {file.text_field!r}: found {kind}; expected text (set text_field to its name); name the"
            " file in skip if it is no data"
        )
    if not is_utf8(text):
        raise DataError(f"{where}: field {file.text_field!r}: {HALF_A_CHARACTER}")
    return text
