"""An index of protected text by the windows of its pieces: which pieces a passage may hold.

A *window* is a span of about 32 bytes, a power of two in tokens, so that it depends little on the text. The index has
those of a piece at every offset, a passage is looked up at multiples of their length only: a copy is found whatever its
alignment, and looking costs little. What the index proposes is compared token by token (`covered`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from olmix_core.data.overlap.protected import Piece, ProtectedPassage
from olmix_core.data.overlap.windows import Hashes, Positions, TokenHasher

WINDOW_BYTES = 32
WINDOW_TOKENS = (4, 32)
HELD = 0.75  # share of a piece that a passage holds at least which counts as holding it
HELD_IN_LEAF = 1.0  # the same within a leaf, whose documents are alike by nature
_PROPOSED = 0.5  # share of its windows from which on a piece is compared
_PROPOSED_OF_SHORT = 0.4  # the same of a short passage, which may stand in two pieces
_FEWEST_WINDOWS = 8  # of a short passage that counts where it stands in protected text (256 bytes)
_COMMON = 16  # a window at more places is too common to propose a piece
_DISTINCT = 0.25  # a piece of fewer different windows is too repetitive to be proposed

_Index = NDArray[np.int64]


@dataclass(frozen=True)
class _Entries:
    """Windows of pieces, by hash.

    Attributes:
        hashes: Different hashes, ascending, shape [h].
        begin: First place of each hash, and the number of places, shape [h + 1].
        piece: Piece of each place.
        offset: First token of each place in the piece.
        needed: Different windows that a passage has in common with each piece before they are compared; 0 for a piece
            that is not looked for.
    """

    hashes: Hashes
    begin: _Index
    piece: _Index
    offset: _Index
    needed: _Index


@dataclass(frozen=True)
class Proposal:
    """A passage that may hold a piece.

    Attributes:
        passage: Number of the passage.
        piece: Number of the piece.
        diagonals: Differences between the positions of common windows in the passage and in the piece, common ones
            first.
    """

    passage: int
    piece: int
    diagonals: Sequence[int]


class PieceIndex:
    """The different protected passages, and their pieces by window.

    Attributes:
        passages: The passages, each content once.
        sources: [passages] sources of each.
        pieces: Number of its passage, and each piece.
        window: Tokens of a window.
    """

    def __init__(self, protected: Sequence[ProtectedPassage], hasher: TokenHasher, bytes_per_token: float) -> None:
        """Index protected text.

        Args:
            protected: The passages.
            hasher: Hashes of the vocabulary.
            bytes_per_token: Mean bytes of a token of the text.
        """
        low, high = WINDOW_TOKENS
        self.window = min(max(2 ** round(math.log2(WINDOW_BYTES / bytes_per_token)), low), high)
        numbers: dict[bytes, int] = {}
        self.passages: list[ProtectedPassage] = []
        self.sources: list[set[str]] = []
        self.pieces: list[tuple[int, Piece]] = []
        for passage in protected:
            number = numbers.setdefault(passage.tokens.tobytes(), len(self.passages))
            if number == len(self.passages):
                self.passages.append(passage)
                self.sources.append(set())
                self.pieces += [(number, piece) for piece in passage.pieces]
            self.sources[number].add(passage.source)
        self._hasher = hasher

    @cached_property
    def whole(self) -> dict[int, int]:
        """{hash of a whole passage: its number}."""
        return {int(self._hash(passage.tokens)): number for number, passage in enumerate(self.passages)}

    @cached_property
    def whole_hashes(self) -> Hashes:
        """Hashes of whole passages, ascending."""
        return np.array(sorted(self.whole), np.uint64)

    def _hash(self, tokens: NDArray[np.int64]) -> np.uint64:
        spans = self._hasher.spans(tokens)
        value: np.uint64 = spans.of(np.zeros(1, np.int64), np.array([tokens.size]))[0]
        return value

    @cached_property
    def _entries(self) -> _Entries:
        hashes: list[Hashes] = []
        sizes = []
        for number, piece in self.pieces:
            starts = np.arange(max(0, piece.end - piece.start - self.window + 1))
            spans = self._hasher.spans(self.passages[number].tokens[piece.start : piece.end])
            hashes.append(spans.of(starts, starts + self.window))
            sizes.append(starts.size)
        positions = np.array(sizes, np.int64)
        everything = np.concatenate([np.zeros(0, np.uint64), *hashes])
        order = np.argsort(everything, kind="stable")
        different, counts = np.unique(everything[order], return_counts=True)
        rare = counts <= _COMMON
        chosen = order[np.repeat(rare, counts)]
        owner = np.repeat(np.arange(positions.size), positions)[chosen]
        offset = chosen - np.repeat(np.cumsum(positions) - positions, positions)[chosen]
        # Different windows of each piece.
        place = np.repeat(np.arange(np.count_nonzero(rare)), counts[rare])
        pairs = np.unique(place * max(1, positions.size) + owner)
        distinct = np.bincount(pairs % max(1, positions.size), minlength=positions.size)
        share = distinct / np.maximum(positions, 1)
        needed = np.maximum(1, np.floor(_PROPOSED * share * (positions // self.window))).astype(np.int64)
        needed[share < _DISTINCT] = 0
        return _Entries(
            different[rare], np.append(np.cumsum(counts[rare]) - counts[rare], chosen.size), owner, offset, needed
        )

    @cached_property
    def _filter(self) -> tuple[NDArray[np.bool_], np.uint64]:
        """Whether any hash begins with some bits, and by how much a hash is shifted to give them."""
        bits = int(np.clip(np.ceil(np.log2(16 * self._entries.hashes.size + 1)), 16, 28))
        shift = np.uint64(64 - bits)
        table = np.zeros(1 << bits, bool)
        table[self._entries.hashes >> shift] = True
        return table, shift

    def propose(self, hashes: Hashes, starts: Positions, passages: Positions) -> list[Proposal]:
        """Find the pieces that passages may hold.

        Args:
            hashes: Hashes of windows of the passages, shape [n].
            starts: First token of each window in its passage, shape [n].
            passages: Number of its passage, shape [n].

        Returns:
            The passages and pieces to compare.
        """
        entries = self._entries
        if not entries.hashes.size:
            return []
        table, shift = self._filter
        hits = np.flatnonzero(table[hashes >> shift])
        places = np.minimum(np.searchsorted(entries.hashes, hashes[hits]), entries.hashes.size - 1)
        equal = entries.hashes[places] == hashes[hits]
        hits, places = hits[equal], places[equal]
        counts = entries.begin[places + 1] - entries.begin[places]
        firsts = np.cumsum(counts) - counts
        entry = np.repeat(entries.begin[places] - firsts, counts) + np.arange(counts.sum())
        hit, place = np.repeat(hits, counts), np.repeat(places, counts)
        piece = entries.piece[entry]
        possible = entries.needed[piece] > 0
        hit, place, entry, piece = hit[possible], place[possible], entry[possible], piece[possible]
        pair = passages[hit] * len(self.pieces) + piece
        order = np.lexsort((place, pair))
        pair, place = pair[order], place[order]
        is_new = np.append(True, (pair[1:] != pair[:-1]) | (place[1:] != place[:-1]))[: pair.size]
        pairs, begin = np.unique(pair, return_index=True)
        ends = np.append(begin[1:], pair.size)
        distinct = np.add.reduceat(is_new.astype(np.int64), begin) if pairs.size else np.zeros(0, np.int64)
        diagonal = (starts[hit] - entries.offset[entry])[order]
        needed = entries.needed[pairs % max(1, len(self.pieces))]
        windows = np.bincount(passages)[pairs // max(1, len(self.pieces))]
        of_short = np.ceil(_PROPOSED_OF_SHORT * windows).astype(np.int64)
        needed = np.where(windows >= _FEWEST_WINDOWS, np.minimum(needed, of_short), needed)
        proposals = []
        for number in np.flatnonzero(distinct >= needed):
            values, frequency = np.unique(diagonal[begin[number] : ends[number]], return_counts=True)
            passage, of_piece = divmod(int(pairs[number]), len(self.pieces))
            proposals.append(Proposal(passage, of_piece, values[np.argsort(-frequency, kind="stable")].tolist()))
        return proposals

    def is_held(self, proposal: Proposal, leaf: str, tokens: NDArray[np.int64]) -> bool:
        """Compare a passage with a piece.

        Args:
            proposal: The piece, and how it may lie in the passage.
            leaf: Fingerprint of the leaf of the passage.
            tokens: Tokens of the passage.

        Returns:
            Whether the passage holds most of the piece, or most of it stands in the protected passage of another
            leaf; all of the piece, where that is held out of the same leaf.
        """
        number, piece = self.pieces[proposal.piece]
        whole = self.passages[number].tokens
        text = whole[piece.start : piece.end]
        share = HELD_IN_LEAF if self.sources[number] == {leaf} else HELD
        if covered(text, tokens, proposal.diagonals, self.window) >= share * text.size:
            return True
        if self.sources[number] == {leaf} or not _FEWEST_WINDOWS * self.window <= tokens.size < whole.size:
            return False
        inside = [piece.start - diagonal for diagonal in proposal.diagonals]
        return covered(tokens, whole, inside, self.window) >= share * tokens.size


def covered(
    piece: NDArray[np.int64], passage: NDArray[np.int64], diagonals: Sequence[int], shortest: int, most: int = 64
) -> int:
    """Count the tokens of a piece that stand in a passage, in runs.

    Args:
        piece: Token ids of the piece.
        passage: Token ids of the passage.
        diagonals: Differences of positions in the passage and in the piece at which they are compared.
        shortest: Tokens of a run at least.
        most: Diagonals that are looked at.

    Returns:
        Number of tokens of the piece.
    """
    found = np.zeros(piece.size, bool)
    for diagonal in diagonals[:most]:
        first, last = max(0, -diagonal), min(piece.size, passage.size - diagonal)
        equal = piece[first:last] == passage[first + diagonal : last + diagonal]
        edges = np.flatnonzero(np.diff(np.concatenate([[False], equal, [False]]).astype(np.int8)))
        for start, end in edges.reshape(-1, 2).tolist():
            if end - start >= shortest:
                found[first + start : first + end] = True
    return int(np.count_nonzero(found))
