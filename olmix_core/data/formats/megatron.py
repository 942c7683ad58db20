"""Megatron's token files: a .bin of tokens with an .idx beside it, which states their type and where documents end."""

import itertools
import struct
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from olmix_core.data.formats.registry import FORMATS, TokenFormat, Tokens
from olmix_core.data.input_file import InputFile
from olmix_core.errors import DataError
from olmix_core.storage.filesystem import open_file

MAGIC = b"MMIDIDX\x00\x00"
# Codes of the index: Megatron's own (6 and 7 are floats), then those that DeepSpeed added.
DTYPES = {1: "<u1", 2: "<i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2", 9: "<u4", 10: "<u8"}


def _documents(raw: IO[bytes], file: InputFile, eos: int, vocab_size: int) -> Iterator[Tokens]:
    del vocab_size  # the index states the type
    assert file.index is not None
    dtype, starts = _read_index(file.index)
    for first, last in itertools.pairwise(starts):
        size = int(last - first)
        content = raw.read(size * dtype.itemsize)
        if len(content) != size * dtype.itemsize:
            raise DataError(f"{file.url}: is shorter than {file.index} says; expected {int(starts[-1])} tokens")
        document = np.frombuffer(content, dtype)
        if document.size and int(document[-1]) == eos:
            document = document[:-1]
        yield document


def _read_index(url: str) -> tuple[np.dtype[Any], NDArray[np.int64]]:
    """The type of the tokens; and the position of the token at which each document starts, the end of the last too."""
    with open_file(url) as index:
        head = index.read(len(MAGIC) + 25)
        if len(head) < len(MAGIC) + 25 or not head.startswith(MAGIC):
            raise DataError(f"{url}: found no Megatron index; expected one that starts with MMIDIDX")
        _, code, sequences, documents = struct.unpack("<QBQQ", head[len(MAGIC) :])
        if code not in DTYPES:
            raise DataError(f"{url}: found token type {code}; expected an integer type")
        rest = index.read()
    # The length of every sequence, then where each starts (one after the other); the last sequence of every document.
    if len(rest) < 12 * sequences + 8 * documents:
        raise DataError(f"{url}: is cut short; expected {sequences} sequences")
    lengths = np.frombuffer(rest, "<i4", sequences).astype(np.int64)
    ends = np.frombuffer(rest, "<i8", documents, 12 * sequences)
    if (lengths < 0).any() or (np.diff(ends) < 0).any() or (documents and (ends[0] < 0 or ends[-1] != sequences)):
        raise DataError(f"{url}: is damaged; expected the ends of documents among {sequences} sequences")
    totals = np.concatenate([[0], np.cumsum(lengths)])
    return np.dtype(DTYPES[code]), totals[ends]


def _index(url: str) -> str:
    return url[: -len(".bin")] + ".idx"


FORMATS.register(
    TokenFormat(
        name="tokens-megatron",
        description="tokens, split by Megatron's index beside the file",
        refused="an index of floats; a file shorter than its index says",
        suffixes={".bin": 1},
        documents=_documents,
        index=_index,
        takes_dtype=False,
        companions=(".idx",),
    )
)
