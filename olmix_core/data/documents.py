"""Input files as a stream of documents, never held whole; everything opens through fsspec."""

from collections.abc import Iterator

import numpy as np

from olmix_core.data.compression import DAMAGE, HEAD, compression_at, compression_of, decompressed
from olmix_core.data.formats.registry import Tokens, suffix_of, text_format, token_format
from olmix_core.data.input_file import InputFile
from olmix_core.errors import DataError
from olmix_core.storage.filesystem import BLOCK, open_file, reason_of


def text_documents(file: InputFile, block: int = BLOCK) -> Iterator[str]:
    """Read a text file.

    Args:
        file: The file.
        block: Bytes to ask for at once, of a remote file.

    Yields:
        Its documents, in order.

    Raises:
        DataError: The file is not what its name says, naming the line or column.
    """
    text = text_format(file)
    damage: tuple[type[Exception], ...] = (*DAMAGE, UnicodeDecodeError, *text.errors)
    try:
        with open_file(file.url, block if text.is_sequential else None) as raw:
            yield from text.documents(decompressed(raw, file.url) if text.is_sequential else raw, file)
    except DataError:
        raise
    except (ConnectionError, PermissionError, FileNotFoundError) as error:
        raise DataError(f"{file.url}: cannot be read: {reason_of(error)}") from error
    except damage as error:
        suffix = suffix_of(file.url)
        raise DataError(f"{file.url}: cannot be read as {suffix}: {error}; expected an undamaged file") from error


def may_unpack(file: InputFile) -> bool:
    """Tell whether a file may hold more bytes of text than its size.

    Args:
        file: The file.

    Returns:
        Whether it is compressed, whatever it is called, or a container whose parts may be.

    Raises:
        OSError: The file cannot be read.
    """
    if file.is_tokens:
        return False
    text = text_format(file)
    if not text.is_sequential or text.is_container or compression_of(file.url) is not None:
        return True
    with open_file(file.url, None) as raw:
        return compression_at(raw.read(HEAD)) is not None


def token_documents(file: InputFile, *, eos: int, vocab_size: int) -> Iterator[Tokens]:
    """Read a token file.

    Args:
        file: The file.
        eos: The id that ends a document.
        vocab_size: Entries of the vocabulary.

    Yields:
        The tokens of its documents, in order, without `eos`.

    Raises:
        DataError: The file is damaged, or holds a token id that is not in the vocabulary.
    """
    position = 0
    for document in _token_documents(file, eos, vocab_size):
        outside = (document < 0) | (document >= vocab_size)
        if outside.any():
            first = int(np.argmax(outside))
            raise DataError(
                f"{file.url}: token {position + first}: found id {int(document[first])}; expected ids from 0 to below"
                f" the tokenizer's {vocab_size}: check dtype and tokenizer, and leave out masked labels (-100)"
            )
        position += document.size
        yield document


def _token_documents(file: InputFile, eos: int, vocab_size: int) -> Iterator[Tokens]:
    try:
        with open_file(file.url) as raw:
            yield from token_format(file).documents(raw, file, eos, vocab_size)
    except (ConnectionError, PermissionError, FileNotFoundError) as error:
        raise DataError(f"{file.url}: cannot be read: {reason_of(error)}") from error
    except (OSError, EOFError) as error:
        raise DataError(f"{file.url}: cannot be read: {error}; expected an undamaged file") from error
