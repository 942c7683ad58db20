"""True NumPy files of tokens, whose header states their type; a token ends each document."""

from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from olmix_core.data.formats.raw_tokens import split_at_eos
from olmix_core.data.formats.registry import FORMATS, TokenFormat, Tokens
from olmix_core.data.input_file import InputFile
from olmix_core.errors import DataError


def _documents(raw: IO[bytes], file: InputFile, eos: int, vocab_size: int) -> Iterator[Tokens]:
    del vocab_size  # the header states the type
    dtype, size = _read_header(raw, file.url)
    start = raw.tell()
    yield from split_at_eos(raw, dtype, file, eos)
    found = (raw.tell() - start) // dtype.itemsize
    if found != size:
        raise DataError(f"{file.url}: found {found:,} tokens; expected {size:,}, as its header says")


def _read_header(raw: IO[bytes], url: str) -> tuple[np.dtype[Any], int]:
    """The type and the number of the tokens; the file is then open where they begin."""
    try:
        version = np.lib.format.read_magic(raw)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(raw)
    except Exception as error:  # the header is parsed as Python, so that damage raises exceptions of many kinds
        raise DataError(f"{url}: damaged NumPy header: {error}") from error
    if len(shape) != 1 or dtype.kind not in "ui":
        raise DataError(f"{url}: found a {dtype} array of shape {shape}; expected one row of integers")
    return dtype, int(shape[0])


FORMATS.register(
    TokenFormat(
        name="tokens-numpy",
        description="tokens up to the tokenizer's end-of-document token; the header states their type",
        refused="arrays of several dimensions or of floats; a file of another length than its header says",
        suffixes={".npy": 1},
        documents=_documents,
        magic=b"\x93NUMPY",
        takes_dtype=False,  # the header states it
        companions=(".csv.gz",),
    )
)
