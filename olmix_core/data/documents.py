"""Input files as a stream of documents, never held whole.

Text: .txt (a file is a document), .jsonl, .jsonl.gz, .jsonl.zst (a line is a document), .parquet (a row is a
document). Tokens already made: raw little-endian arrays (.npy without a header, as OLMo-core writes them, or .bin),
true NumPy .npy, and Megatron's .bin with its .idx. Everything opens through fsspec.

A *reader* is the name of the way a file is read. It is part of a leaf's identity: the same bytes read in another way
are another text.
"""

import gzip
import io
import itertools
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from numpy.typing import NDArray

from olmix_core.errors import DataError
from olmix_core.storage.filesystem import BLOCK, open_file, reason_of
from olmix_core.storage.suffixes import suffix_of

Tokens = NDArray[np.unsignedinteger[Any]]

TOKENS_AT_ONCE = 1 << 22
# A document is held in memory. What is larger is no document: a file of another kind, or a few bytes made to unpack
# into many.
LARGEST = 256 << 20  # bytes, or tokens
TOO_LARGE = f"a document of more than {LARGEST >> 20} MiB; expected smaller ones: cut it into parts"
HALF_A_CHARACTER = "found half a surrogate pair (like \\ud83d alone); expected whole characters: write the file anew"
NUMPY_MAGIC = b"\x93NUMPY"
MEGATRON_MAGIC = b"MMIDIDX\x00\x00"
# Codes of Megatron's index file.
MEGATRON_DTYPES = {1: "<u1", 2: "<i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}


@dataclass(frozen=True)
class InputFile:
    """One file of a leaf and the way it is read.

    `dtype` is given for raw tokens only; `index` is the URL of the .idx beside a Megatron .bin. `content` (see
    `fingerprint`) and `size`, in bytes, are those of the file when it was found.
    """

    url: str
    reader: str
    text_field: str = "text"
    dtype: str | None = None
    index: str | None = None
    content: str = ""
    size: int = 0

    @property
    def is_tokens(self) -> bool:
        return self.reader.startswith("tokens")


def text_documents(file: InputFile, block: int = BLOCK) -> Iterator[str]:
    """The documents of a text file, in order; of a remote file `block` bytes are asked for at once.

    Raises:
        DataError: the file is not what its name says, naming the line or column.
    """
    suffix = suffix_of(file.url)
    try:
        with open_file(file.url, None if suffix == ".parquet" else block) as raw:
            if suffix == ".txt":
                content = raw.read(LARGEST + 1)
                if len(content) > LARGEST:
                    raise DataError(f"{file.url}: found {TOO_LARGE}")
                yield _utf8(content, file.url)
            elif suffix == ".parquet":
                yield from _parquet(raw, file)
            else:
                yield from _json_lines(_decompressed(raw, suffix), file)
    except DataError:
        raise
    except (ConnectionError, PermissionError, FileNotFoundError) as error:
        raise DataError(f"{file.url}: cannot be read: {reason_of(error)}") from error
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, zstandard.ZstdError, pa.ArrowException) as error:
        raise DataError(f"{file.url}: cannot be read as {suffix}: {error}; expected an undamaged file") from error


def is_utf8(text: str) -> bool:
    """Whether `text` has a form in UTF-8; JSON can spell text that has none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _utf8(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: byte {error.start} is not UTF-8; expected text in UTF-8: convert the file"
        ) from error


def _decompressed(raw: IO[bytes], suffix: str | None) -> IO[bytes]:
    if suffix == ".jsonl.gz":
        return gzip.open(raw)  # type: ignore[return-value]
    if suffix == ".jsonl.zst":
        reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        return io.BufferedReader(reader)
    return raw


def _json_lines(lines: IO[bytes], file: InputFile) -> Iterator[str]:
    for number, line in enumerate(iter(lambda: lines.readline(LARGEST + 1), b""), start=1):
        where = f"{file.url}: line {number}"
        if len(line) > LARGEST:
            raise DataError(f"{where}: found {TOO_LARGE}")
        if not line.strip():
            continue
        try:
            record = json.loads(_utf8(line, where))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: found no JSON ({error}); expected one JSON object a line") from error
        text = record.get(file.text_field) if isinstance(record, dict) else None
        if not isinstance(text, str):
            kind = type(text).__name__ if isinstance(record, dict) and file.text_field in record else "nothing"
            raise DataError(
                f"{where}: field {file.text_field!r}: found {kind}; expected text (set text_field to its name)"
            )
        if not is_utf8(text):
            raise DataError(f"{where}: field {file.text_field!r}: {HALF_A_CHARACTER}")
        yield text


def _parquet(raw: IO[bytes], file: InputFile) -> Iterator[str]:
    table = pq.ParquetFile(raw)
    field = file.text_field
    if field not in table.schema_arrow.names:
        found = ", ".join(table.schema_arrow.names)
        raise DataError(
            f"{file.url}: column {field!r}: found only {found}; expected a column of text (set text_field to its name)"
        )
    kind = table.schema_arrow.field(field).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise DataError(f"{file.url}: column {field!r}: found {kind}; expected text")
    row = 0
    for batch in table.iter_batches(batch_size=1024, columns=[field]):
        for text in batch.column(0).to_pylist():
            if text is None:
                raise DataError(f"{file.url}: row {row}: column {field!r}: found null; expected text")
            yield text
            row += 1


def smallest_dtype(vocab_size: int) -> np.dtype[Any]:
    """The smallest unsigned type that holds every token id, as token files are usually written."""
    return np.dtype(np.uint16 if vocab_size <= 1 << 16 else np.uint32)


def token_reader(url: str) -> str:
    """Which of the token formats the .npy at `url` is, by its first bytes. Raises OSError."""
    with open_file(url, None) as file:
        return "tokens-numpy" if file.read(len(NUMPY_MAGIC)) == NUMPY_MAGIC else "tokens-raw"


def index_of(path: str) -> str:
    return path[: -len(".bin")] + ".idx"


def token_documents(file: InputFile, *, eos: int, vocab_size: int) -> Iterator[Tokens]:
    """The documents of a token file, in order, without their end-of-document token.

    Raw and NumPy files are split at `eos`; Megatron's index says where its documents end.

    Raises:
        DataError: the file is damaged, or holds a token id that is not in the vocabulary.
    """
    position = 0
    for document in _split_tokens(file, eos, vocab_size):
        if document.size and int(document.max()) >= vocab_size:
            where = position + int(np.argmax(document >= vocab_size))
            raise DataError(
                f"{file.url}: token {where}: found id {int(document.max())}; expected ids below the"
                f" tokenizer's {vocab_size}: check dtype and tokenizer"
            )
        position += document.size
        yield document


def _split_tokens(file: InputFile, eos: int, vocab_size: int) -> Iterator[Tokens]:
    try:
        with open_file(file.url) as raw:
            if file.reader == "tokens-megatron":
                yield from _megatron(raw, file, eos)
                return
            if file.reader == "tokens-numpy":
                dtype = _numpy_header(raw, file.url)
            else:
                dtype = np.dtype(file.dtype or smallest_dtype(vocab_size)).newbyteorder("<")
            pieces: list[Tokens] = []
            for block in _blocks(raw, dtype, file.url):
                ends = np.flatnonzero(block == eos)
                start = 0
                for end in ends:
                    pieces.append(block[start:end])
                    yield np.concatenate(pieces)
                    pieces, start = [], int(end) + 1
                if start < block.size:
                    pieces.append(block[start:])
                if sum(piece.size for piece in pieces) > LARGEST:
                    raise DataError(f"{file.url}: found {LARGEST:,} tokens without the end of a document ({eos})")
            if pieces:
                yield np.concatenate(pieces)
    except (ConnectionError, PermissionError, FileNotFoundError) as error:
        raise DataError(f"{file.url}: cannot be read: {reason_of(error)}") from error
    except (OSError, EOFError) as error:
        raise DataError(f"{file.url}: cannot be read: {error}; expected an undamaged file") from error


def _blocks(raw: IO[bytes], dtype: np.dtype[Any], url: str) -> Iterator[Tokens]:
    while content := raw.read(TOKENS_AT_ONCE * dtype.itemsize):
        if len(content) % dtype.itemsize:
            raise DataError(
                f"{url}: its size is no multiple of {dtype.itemsize} bytes; expected whole {dtype.name} tokens:"
                " check dtype"
            )
        yield np.frombuffer(content, dtype)


def _numpy_header(raw: IO[bytes], url: str) -> np.dtype[Any]:
    try:
        version = np.lib.format.read_magic(raw)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(raw)
    except Exception as error:  # the header is parsed as Python is, and damage is told in many ways
        raise DataError(f"{url}: damaged NumPy header: {error}") from error
    if len(shape) != 1 or dtype.kind not in "ui":
        raise DataError(f"{url}: found a {dtype} array of shape {shape}; expected one row of integers")
    return dtype


def _megatron(raw: IO[bytes], file: InputFile, eos: int) -> Iterator[Tokens]:
    assert file.index is not None
    with open_file(file.index) as index:
        head = index.read(len(MEGATRON_MAGIC) + 25)
        if len(head) < len(MEGATRON_MAGIC) + 25 or not head.startswith(MEGATRON_MAGIC):
            raise DataError(f"{file.index}: found no Megatron index; expected one that starts with MMIDIDX")
        _, code, sequences, documents = struct.unpack("<QBQQ", head[len(MEGATRON_MAGIC) :])
        if code not in MEGATRON_DTYPES:
            raise DataError(f"{file.index}: found token type {code}; expected an integer type")
        dtype, rest = np.dtype(MEGATRON_DTYPES[code]), index.read()
    # Of every sequence its length, then where it starts (one after the other); of every document its last sequence.
    if len(rest) < 12 * sequences + 8 * documents:
        raise DataError(f"{file.index}: is cut short; expected {sequences} sequences")
    lengths = np.frombuffer(rest, "<i4", sequences).astype(np.int64)
    ends = np.frombuffer(rest, "<i8", documents, 12 * sequences)
    if (lengths < 0).any() or (np.diff(ends) < 0).any() or (documents and (ends[0] < 0 or ends[-1] != sequences)):
        raise DataError(f"{file.index}: is damaged; expected the ends of documents among {sequences} sequences")
    totals = np.concatenate([[0], np.cumsum(lengths)])
    for first, last in itertools.pairwise(ends):
        size = int(totals[last] - totals[first])
        content = raw.read(size * dtype.itemsize)
        if len(content) != size * dtype.itemsize:
            raise DataError(f"{file.url}: is shorter than {file.index} says; expected {int(totals[-1])} tokens")
        document = np.frombuffer(content, dtype)
        if document.size and int(document[-1]) == eos:
            document = document[:-1]
        yield document.astype(np.uint32, copy=False)
