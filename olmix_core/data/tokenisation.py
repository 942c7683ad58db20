"""Tokenise a leaf in one pass, and choose what is held out of it.

The passages with the smallest hashes are held out, up to 64 KiB of text or 5 % of the leaf, whichever is less. So the
slice does not depend on the order of files, and most of it stays held out when the leaf grows.
"""

import hashlib
import heapq
from array import array
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import groupby, islice
from operator import itemgetter
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from olmix_core.data.corpus import BATCH, LeafStatistics
from olmix_core.data.documents import text_documents, token_documents
from olmix_core.data.input_file import InputFile
from olmix_core.data.passages import cut
from olmix_core.data.tokenizer import Tokenizer
from olmix_core.errors import DataError
from olmix_core.storage.content_index import ContentIndex
from olmix_core.storage.integrity import chunk_crcs, save_tensors
from olmix_core.storage.layout import PASSAGES_FILE, TOKENS_FILE
from olmix_core.storage.store import Store

PASSAGE_TOKENS = 4096  # of token files, whose text is not at hand
HELDOUT_BYTES = 64 << 10
HELDOUT_SHARE = 0.05


class _HeldOut:
    """The passages with the smallest hashes, up to HELDOUT_BYTES, in bounded memory.

    Copies of a passage are held out together, since training on one would reveal the others.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int]] = []  # (-hash, passage, bytes): the largest hash on top
        self._bytes = 0
        self._limit = 1 << 64  # larger hashes cannot be held out any more

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
        """(passage, bytes), by passage, of those that fit HELDOUT_SHARE of the leaf, taken in the order of hashes."""
        room, chosen = total_bytes * HELDOUT_SHARE, []
        for _, entries in groupby(sorted(self._heap, reverse=True), key=itemgetter(0)):
            copies = [(passage, size) for _, passage, size in entries]
            size = sum(size for _, size in copies)
            if size <= room:
                room -= size
                chosen += copies
        return sorted(chosen)


def tokenise(files: Sequence[InputFile], tokenizer: Tokenizer, store: Store, folder: str) -> LeafStatistics:
    """Tokenise a leaf in one pass; memory grows only by an index of its passages.

    Args:
        files: Files of the leaf.
        tokenizer: The tokenizer.
        store: The store to write to.
        folder: Folder in the store.

    Returns:
        Statistics of the leaf.

    Raises:
        DataError: A file cannot be read in its format or changed meanwhile, or the leaf holds no text.
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
        crcs = chunk_crcs(path)
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
    """Raise DataError where a file changed since it was listed: its tokens would have a wrong identity."""
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
    """Every passage as (token ids, content to hash, bytes of text, whether its document ends here)."""
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
