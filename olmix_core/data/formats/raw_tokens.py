"""Raw tokens: a little-endian array without a header, as OLMo-core writes it, in which a token ends each document."""

from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from olmix_core.data.formats.registry import FORMATS, LARGEST, TokenFormat, Tokens
from olmix_core.data.input_file import InputFile
from olmix_core.errors import DataError

TOKENS_AT_ONCE = 1 << 22
DTYPES = ("uint16", "uint32", "int32", "int64")  # types that raw files have, narrowest first
_HEAD = 64 << 10  # bytes at the beginning of a file that its type is checked by
_LEAST = 16  # pairs of tokens from which a pattern is no coincidence
_MOST = 0.9  # share of such pairs, as ids outside the vocabulary break the pattern
_MASKS = (-100, -1)  # ids of masked labels


def smallest_dtype(vocab_size: int) -> np.dtype[Any]:
    """Choose the type of token ids, as token files are usually written.

    Args:
        vocab_size: Entries of the vocabulary.

    Returns:
        The smallest unsigned type, of 16 or 32 bits, that holds every id.
    """
    return np.dtype(np.uint16 if vocab_size <= 1 << 16 else np.uint32)


def split_at_eos(raw: IO[bytes], dtype: np.dtype[Any], file: InputFile, eos: int) -> Iterator[Tokens]:
    """Split an array of tokens into documents.

    Args:
        raw: The file, open where its tokens begin.
        dtype: The type of the tokens.
        file: The file, for messages.
        eos: The id that ends a document.

    Yields:
        The tokens of each document, without `eos`.

    Raises:
        DataError: The tokens are not whole, or a document is too large to be one.
    """
    pieces: list[Tokens] = []
    for block in _blocks(raw, dtype, file.url):
        start = 0
        for end in np.flatnonzero(block == eos):
            pieces.append(block[start:end])
            yield np.concatenate(pieces)
            pieces, start = [], int(end) + 1
        if start < block.size:
            pieces.append(block[start:])
        if sum(piece.size for piece in pieces) > LARGEST:
            raise DataError(f"{file.url}: found {LARGEST:,} tokens without the end of a document ({eos})")
    if pieces:
        yield np.concatenate(pieces)


def _blocks(raw: IO[bytes], dtype: np.dtype[Any], url: str) -> Iterator[Tokens]:
    while content := raw.read(TOKENS_AT_ONCE * dtype.itemsize):
        if len(content) % dtype.itemsize:
            raise DataError(
                f"{url}: its size is no multiple of {dtype.itemsize} bytes; expected whole {dtype.name} tokens:"
                " check dtype"
            )
        yield np.frombuffer(content, dtype)


def fits(content: bytes, dtype: str, vocab_size: int) -> bool:
    """Decide whether the beginning of a raw file can be tokens of some type.

    Args:
        content: Some whole tokens at the beginning of the file.
        dtype: One of DTYPES.
        vocab_size: Entries of the vocabulary.

    Returns:
        Whether all ids lie in the vocabulary or are masks of labels, and the tokens are not the halves of wider ones:
        those have 0, or all bits set, in every second place.
    """
    tokens = _tokens(content, dtype)
    inside = ((tokens >= 0) & (tokens < vocab_size)) | np.isin(tokens.astype(np.int64), _MASKS)
    return bool(inside.all()) and not _are_halves(tokens, vocab_size)


def _tokens(content: bytes, dtype: str) -> Tokens:
    """The whole tokens of a beginning."""
    size = np.dtype(dtype).itemsize
    return np.frombuffer(content[: len(content) // size * size], np.dtype(dtype).newbyteorder("<"))


def _are_halves(tokens: Tokens, vocab_size: int) -> bool:
    """Whether these are wider integers read in halves: nearly every second one is the high half of an id, or a sign."""
    low, high = tokens[: tokens.size // 2 * 2 : 2], tokens[1::2]
    info = np.iinfo(tokens.dtype)
    extends = ((high >= 0) & (high <= vocab_size >> info.bits)) | (high == info.max)
    return (
        low.size >= _LEAST
        and int(np.count_nonzero(extends)) >= _MOST * low.size
        and 4 * int(np.count_nonzero(low)) >= low.size
    )


def _are_floats(content: bytes, vocab_size: int) -> bool:
    """Whether these are token ids as floats of 32 bits."""
    values = np.frombuffer(content[: len(content) // 4 * 4], "<f4")
    with np.errstate(invalid="ignore"):
        ids = (values == np.round(values)) & (values >= 0) & (values < vocab_size)
    # As floats, small integers are tiny fractions.
    return values.size >= _LEAST and bool(ids.all()) and int(np.count_nonzero(values)) > values.size // 4


def _documents(raw: IO[bytes], file: InputFile, eos: int, vocab_size: int) -> Iterator[Tokens]:
    chosen = file.dtype or smallest_dtype(vocab_size).name
    head = raw.read(_HEAD)
    raw.seek(0)
    if _are_floats(head, vocab_size):
        raise DataError(f"{file.url}: found floats of 32 bits; expected tokens as integers")
    if not fits(head, chosen, vocab_size):
        others = [dtype for dtype in DTYPES if dtype != chosen and fits(head, dtype, vocab_size)]
        if others:
            raise DataError(
                f"{file.url}: is no file of {chosen} tokens of a vocabulary of {vocab_size}; expected the type that"
                f" fits: set dtype: {others[0]}"
            )
        if _are_halves(_tokens(head, chosen), vocab_size):
            raise DataError(
                f"{file.url}: found wider integers than {chosen} with ids outside a vocabulary of {vocab_size};"
                " expected tokens of this tokenizer: check tokenizer and dtype"
            )
    yield from split_at_eos(raw, np.dtype(chosen).newbyteorder("<"), file, eos)


FORMATS.register(
    TokenFormat(
        name="tokens-raw",
        description="raw little-endian tokens of type `dtype`, up to the tokenizer's end-of-document token",
        refused="half tokens; tokens of another type; ids outside the vocabulary",
        suffixes={".npy": 1, ".bin": 1},
        documents=_documents,
        companions=(".csv.gz",),  # where documents begin, as dolma writes it
    )
)
