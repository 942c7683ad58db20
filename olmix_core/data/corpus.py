"""A leaf's corpus: tokenised once per content, with a slice held out that no proxy trains on.

A document is cut into *passages* (at white space, at most 16 KiB), the unit that is shuffled and held out. Which
passages are held out is decided by the hash of their text alone: those with the smallest hashes, up to 64 KiB of
text or 5 % of the leaf, whichever is less. So the slice does not depend on the order of files, and most of it stays
held out when the leaf grows.

On disk, in the store, under the key of the leaf's statistics:

    tokens.bin             token ids of all passages, one after the other, smallest fitting type; a document ends in eos
    passages.safetensors   ends [n] of the passages in tokens.bin; heldout [h] indices, ascending; heldout_bytes [h];
                           checks of tokens.bin (`seal`)
"""

import hashlib
import heapq
from array import array
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import groupby, islice
from operator import itemgetter
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from olmix_core.data.documents import text_documents, token_documents
from olmix_core.data.input_file import InputFile
from olmix_core.data.passages import cut
from olmix_core.data.tokenizer import Tokenizer
from olmix_core.errors import DamageError, DataError
from olmix_core.storage.content_index import ContentIndex
from olmix_core.storage.integrity import CheckedTokens, checks, load_tensors, save_tensors
from olmix_core.storage.layout import PASSAGES_FILE, TOKENS_FILE
from olmix_core.storage.store import Store

FILES = (TOKENS_FILE, PASSAGES_FILE)  # of a corpus
PASSAGE_TOKENS = 4096  # of token files, whose text is not at hand
HELDOUT_BYTES = 64 << 10
HELDOUT_SHARE = 0.05
BATCH = 256  # passages encoded at once


@dataclass(frozen=True)
class LeafStatistics:
    """What is known of a leaf. Tokens include the end of each document; `heldout_*` are part of the totals."""

    documents: int
    bytes: int
    tokens: int
    heldout_tokens: int
    heldout_bytes: int

    @property
    def available(self) -> int:
        """Tokens that may be trained on: N_j."""
        return self.tokens - self.heldout_tokens

    @property
    def bytes_per_token(self) -> float:
        return self.bytes / self.tokens

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class _HeldOut:
    """The passages with the smallest hashes, up to HELDOUT_BYTES, in memory bounded by that.

    Copies of a passage go together: one of them in training would give the others away.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int]] = []  # (-hash, passage, bytes): the largest hash on top
        self._bytes = 0
        self._limit = 1 << 64  # hashes from here on have no room, whatever comes later

    def offer(self, content: bytes, passage: int, size: int) -> None:
        value = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")
        if value >= self._limit:
            return
        heapq.heappush(self._heap, (-value, passage, size))
        self._bytes += size
        while self._heap and (self._bytes > HELDOUT_BYTES or -self._heap[0][0] >= self._limit):
            largest, _, size = heapq.heappop(self._heap)
            self._bytes -= size
            self._limit = -largest

    def chosen(self, total_bytes: int) -> list[tuple[int, int]]:
        """(passage, bytes), by passage: in the order of hashes, those that fit HELDOUT_SHARE of the leaf."""
        room, found = total_bytes * HELDOUT_SHARE, []
        for _, entries in groupby(sorted(self._heap, reverse=True), key=itemgetter(0)):
            copies = [(passage, size) for _, passage, size in entries]
            size = sum(size for _, size in copies)
            if size <= room:
                room -= size
                found += copies
        return sorted(found)


def tokenise(files: Sequence[InputFile], tokenizer: Tokenizer, store: Store, folder: str) -> LeafStatistics:
    """Tokenise a leaf into `folder` of the store, in one pass and constant memory but for an index of passages.

    Raises:
        DataError: a file cannot be read as what it claims to be, or the leaf holds no text.
    """
    ends, heldout = array("q"), _HeldOut()
    documents = total_bytes = position = 0
    with store.new_file(f"{folder}/{TOKENS_FILE}") as path:
        with path.open("wb") as out:
            for ids, content, size, is_last in _passages(files, tokenizer):
                heldout.offer(content, len(ends), size)
                position += _write(out, ids, tokenizer, is_last)
                ends.append(position)
                total_bytes += size
                documents += is_last
        crcs = checks(path)
        if not ends or total_bytes == 0:
            raise DataError(f"{files[0].url}: this domain holds no text; expected at least one document")
        _unchanged(files)
    chosen = heldout.chosen(total_bytes)
    index = np.array([passage for passage, _ in chosen], np.int64)
    all_ends = np.array(ends, np.int64)
    sizes = np.diff(all_ends, prepend=0)
    arrays: dict[str, NDArray[Any]] = {
        "ends": all_ends,
        "heldout": index,
        "heldout_bytes": np.array([size for _, size in chosen], np.int64),
        "checks": crcs,
    }
    with store.new_file(f"{folder}/{PASSAGES_FILE}") as path:
        save_tensors(arrays, path)
    return LeafStatistics(
        documents=documents,
        bytes=total_bytes,
        tokens=position,
        heldout_tokens=int(sizes[index].sum()),
        heldout_bytes=int(arrays["heldout_bytes"].sum()),
    )


def _unchanged(files: Sequence[InputFile]) -> None:
    """Raise DataError where a file is no longer what it was when it was found: its tokens would go by a wrong name."""
    with closing(ContentIndex()) as index:
        for file in files:
            if file.content and index.hash(file.url)[0] != file.content:
                raise DataError(
                    f"{file.url}: changed while it was read; expected files that stay as they are during a run: run"
                    " again"
                )


def _write(out: IO[bytes], ids: NDArray[Any], tokenizer: Tokenizer, is_last: bool) -> int:
    if is_last:
        ids = np.append(ids, tokenizer.eos)
    out.write(ids.astype(tokenizer.dtype.newbyteorder("<")).tobytes())
    return ids.size


def _passages(files: Sequence[InputFile], tokenizer: Tokenizer) -> Iterator[tuple[NDArray[Any], bytes, int, bool]]:
    """Every passage as (token ids, what is hashed, bytes of text, whether its document ends here)."""
    for file in files:
        if file.is_tokens:
            yield from _token_passages(file, tokenizer)
        else:
            yield from _text_passages(file, tokenizer)


def _text_passages(file: InputFile, tokenizer: Tokenizer) -> Iterator[tuple[NDArray[Any], bytes, int, bool]]:
    def pieces() -> Iterator[tuple[str, bool]]:
        for document in text_documents(file):
            parts = list(cut(document))
            for position, part in enumerate(parts, start=1):
                yield part, position == len(parts)

    stream = pieces()
    while batch := list(islice(stream, BATCH)):
        encoded = tokenizer.encode([text for text, _ in batch])
        for (text, is_last), ids in zip(batch, encoded, strict=True):
            content = text.encode()
            yield ids, content, len(content), is_last


def _token_passages(file: InputFile, tokenizer: Tokenizer) -> Iterator[tuple[NDArray[Any], bytes, int, bool]]:
    for document in token_documents(file, eos=tokenizer.eos, vocab_size=tokenizer.vocab_size):
        for start in range(0, document.size, PASSAGE_TOKENS):
            ids = document[start : start + PASSAGE_TOKENS]
            size = int(tokenizer.token_bytes[ids].sum())
            yield ids, ids.astype("<u4").tobytes(), size, start + PASSAGE_TOKENS >= document.size


@dataclass(frozen=True)
class Corpus:
    """A tokenised leaf, opened: `tokens` is a memory map, checked as it is read.

    Shapes: starts, ends [n] of the passages that may be trained on; heldout: token ids and bytes per passage.
    """

    tokens: CheckedTokens
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    heldout: tuple[NDArray[np.int64], ...]
    heldout_bytes: NDArray[np.int64]


def open_corpus(store: Store, folder: str, dtype: np.dtype[Any]) -> Corpus:
    """Open what `tokenise` wrote; nothing but the index and what is held out is read.

    Raises DamageError, FileNotFoundError.
    """
    names = {name: f"{folder}/{name}" for name in FILES}
    index = load_tensors(store.local_copy(names[PASSAGES_FILE]), store.place(names[PASSAGES_FILE]))
    path, where = store.local_copy(names[TOKENS_FILE]), store.place(names[TOKENS_FILE])
    if path.stat().st_size % dtype.itemsize:
        raise DamageError(where, f"{path.stat().st_size:,} bytes, no whole number of tokens")
    tokens = CheckedTokens(np.memmap(path, dtype.newbyteorder("<"), "r"), index["checks"], where)
    ends = index["ends"]
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    held = index["heldout"]
    heldout = tuple(tokens[starts[i] : ends[i]].astype(np.int64) for i in held)
    keep = np.ones(ends.size, bool)
    keep[held] = False
    return Corpus(tokens, starts[keep], ends[keep], heldout, index["heldout_bytes"])
