"""UTF-8 checks that name the place where a text is not what it should be."""

from olmix_core.errors import DataError

HALF_A_CHARACTER = "found half a surrogate pair (like \\ud83d alone); expected whole characters: write the file anew"


def is_utf8(text: str) -> bool:
    """Check that a text can be written in UTF-8; JSON can spell text that cannot.

    Args:
        text: Any text.

    Returns:
        Whether it has a form in UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def decode_utf8(content: bytes, where: str) -> str:
    """Decode bytes as UTF-8.

    Args:
        content: The bytes.
        where: The file, and the line of it, for the message.

    Returns:
        The text.

    Raises:
        DataError: The bytes are not UTF-8.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: byte {error.start} is not UTF-8; expected text in UTF-8: convert the file"
        ) from error
