"""One pass over the tokens of a leaf: the passages that hold protected text, and the hashes of all documents."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmix_core.data.corpus import PassageTable
from olmix_core.data.overlap.piece_index import WINDOW_BYTES, PieceIndex
from olmix_core.data.overlap.protected import SHORTEST_BYTES
from olmix_core.data.overlap.windows import Hashes, Positions, SpanHashes, TokenHasher, join_hashes
from olmix_core.storage.integrity import CheckedTokens

CHUNK = 1 << 20  # tokens looked at together


@dataclass(frozen=True)
class LeafScan:
    """What a leaf holds.

    Attributes:
        documents: Hashes of its documents that are long enough to be compared.
        found: Passages that hold protected text, held-out ones left out, and numbers of the protected passages that
            they hold.
    """

    documents: Hashes
    found: set[tuple[int, int]]


@dataclass(frozen=True)
class _Chunk:
    """Consecutive passages of a leaf.

    Attributes:
        first: Number of the first passage.
        text: Their tokens.
        spans: Hashes of all spans of `text`.
        starts: First token of each passage in `text`, shape [n].
        ends: End of each, the end of the document left out, shape [n].
        is_last: Whether its document ends with it, shape [n].
    """

    first: int
    text: NDArray[Any]
    spans: SpanHashes
    starts: Positions
    ends: Positions
    is_last: NDArray[np.bool_]

    def tokens(self, passage: int) -> NDArray[np.int64]:
        """The token ids of a passage."""
        return self.text[self.starts[passage] : self.ends[passage]].astype(np.int64)


class LeafScanner:
    """Looks through leaves for protected text."""

    def __init__(self, index: PieceIndex, hasher: TokenHasher, eos: int) -> None:
        """Prepare the search.

        Args:
            index: What is looked for.
            hasher: Hashes of the vocabulary.
            eos: The token that ends a document.
        """
        self._index, self._hasher, self._eos = index, hasher, eos
        self._shortest = index.window * SHORTEST_BYTES // WINDOW_BYTES

    def scan(self, leaf: str, tokens: CheckedTokens, passages: PassageTable) -> LeafScan:
        """Look through a leaf; memory grows only with the number of its passages.

        Args:
            leaf: Its fingerprint.
            tokens: Its tokens.
            passages: Its passages.

        Returns:
            What it holds.
        """
        hashes = np.zeros(passages.ends.size, np.uint64)
        lengths = np.zeros(passages.ends.size, np.int64)
        is_last = np.zeros(passages.ends.size, bool)
        is_heldout = np.zeros(passages.ends.size, bool)
        is_heldout[passages.heldout] = True
        found: set[tuple[int, int]] = set()
        parts: dict[int, set[int]] = {}
        for chunk in self._chunks(tokens, passages):
            here = slice(chunk.first, chunk.first + chunk.starts.size)
            hashes[here], lengths[here] = chunk.spans.of(chunk.starts, chunk.ends), chunk.ends - chunk.starts
            is_last[here] = chunk.is_last
            may_train = np.flatnonzero(~is_heldout[here])
            found |= self._copies(chunk, may_train, hashes[here])
            found |= self._holders(leaf, chunk, may_train, parts)
        for piece, holders in parts.items():
            number, described = self._index.pieces[piece]
            if len(holders) <= described.most:
                found |= {(passage, number) for passage in holders}
        documents = np.flatnonzero(np.append(True, is_last[:-1]))
        sizes = np.add.reduceat(lengths, documents)
        return LeafScan(
            documents=join_hashes(hashes, lengths, documents)[sizes >= self._shortest],
            found=found,
        )

    def _chunks(self, tokens: CheckedTokens, passages: PassageTable) -> Iterator[_Chunk]:
        """The leaf in chunks of about CHUNK tokens, at least one passage each."""
        first, start = 0, 0
        while first < passages.ends.size:
            last = max(first + 1, int(np.searchsorted(passages.ends, start + CHUNK, side="right")))
            end = int(passages.ends[last - 1])
            text, ends = tokens[start:end], passages.ends[first:last] - start
            starts = passages.starts[first:last] - start
            is_last = (ends > starts) & (text[ends - 1] == self._eos)
            yield _Chunk(first, text, self._hasher.spans(text), starts, ends - is_last, is_last)
            first, start = last, end

    def _copies(self, chunk: _Chunk, passages: Positions, hashes: Hashes) -> set[tuple[int, int]]:
        """(passage, protected passage) of those that are the same."""
        found = set()
        for passage in passages[np.isin(hashes[passages], self._index.whole_hashes)].tolist():
            number = self._index.whole[int(hashes[passage])]
            protected = self._index.passages[number]
            if protected.size >= SHORTEST_BYTES and np.array_equal(chunk.tokens(passage), protected.tokens):
                found.add((chunk.first + passage, number))
        return found

    def _holders(
        self, leaf: str, chunk: _Chunk, passages: Positions, parts: dict[int, set[int]]
    ) -> set[tuple[int, int]]:
        """(passage, protected passage) of those that hold most of a piece of it.

        A passage that is longer than a piece allows is added to `parts`, {piece: passages}, one more than may be.
        """
        window = self._index.window
        windows = np.maximum(0, chunk.ends - chunk.starts)[passages] // window
        owners = np.repeat(passages, windows)
        offsets = (np.arange(owners.size) - np.repeat(np.cumsum(windows) - windows, windows)) * window
        places = chunk.starts[owners] + offsets
        found = set()
        for proposal in self._index.propose(chunk.spans.of(places, places + window), offsets, owners):
            number, piece = self._index.pieces[proposal.piece]
            tokens, passage = chunk.tokens(proposal.passage), chunk.first + proposal.passage
            holders = parts.setdefault(proposal.piece, set())
            is_part = tokens.size > piece.longest
            if (is_part and len(holders) > piece.most) or not self._index.is_held(proposal, leaf, tokens):
                continue
            if is_part:
                holders.add(passage)
            else:
                found.add((passage, number))
        return found
