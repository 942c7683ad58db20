"""From a mixture to the sequences that a proxy trains on.

Each leaf is an endless stream of tokens: its passages in an order that depends on the leaf and the epoch alone, every
passage once an epoch. A sequence lies within one leaf. A mixture only determines how many sequences are taken from the
front of each stream, and their place in training. So two proxies that give a leaf the same weight see the same text of
it (common random numbers), which reduces the noise of their comparison.

A leaf may be shrunk to a share of its tokens, always the same passages: a proxy of T tokens that sees T / R of each
leaf repeats it as often as a target run of R tokens repeats the whole.
"""

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.data.corpus import Corpus
from olmix_core.errors import TrainingError
from olmix_core.identity import seed_of
from olmix_core.mixture import Array, LeafIndex, apportion


class LeafStream:
    """The endless stream of the tokens of a leaf, or of a share of it.

    Attributes:
        tokens_per_epoch: Tokens until the stream repeats them in another order.
    """

    def __init__(self, corpus: Corpus, fingerprint: str, share: float = 1.0) -> None:
        """Open the stream.

        Args:
            corpus: The tokens of the leaf.
            fingerprint: The leaf.
            share: Share of its tokens that is used.
        """
        self._tokens, self._fingerprint = corpus.tokens, fingerprint
        self._last, self._lengths = corpus.ends, corpus.ends - corpus.starts
        if share < 1.0:
            self._shrink(corpus, share)
        self.tokens_per_epoch = int(self._lengths.sum())
        self._open_epoch(0)

    def _shrink(self, corpus: Corpus, share: float) -> None:
        """Keep the passages, the same for every proxy, up to this share of the tokens; the last one is cut."""
        order = seed_of("share", self._fingerprint).permutation(self._lengths.size)
        room = round(share * int(self._lengths.sum())) - np.cumsum(self._lengths[order]) + self._lengths[order]
        kept = order[room > 0]
        self._lengths = np.minimum(self._lengths[kept], room[room > 0])
        self._last = corpus.starts[kept] + self._lengths

    def _open_epoch(self, epoch: int) -> None:
        self._epoch = epoch
        self._order = seed_of("order", self._fingerprint, epoch).permutation(self._lengths.size)
        self._ends = np.cumsum(self._lengths[self._order])

    def read(self, start: int, count: int) -> NDArray[np.int64]:
        """Read tokens; fast when read from front to back.

        Args:
            start: Position of the first token.
            count: Number of tokens.

        Returns:
            Token ids [count].
        """
        out = np.empty(count, np.int64)
        filled = 0
        while filled < count:
            epoch, offset = divmod(start + filled, self.tokens_per_epoch)
            if epoch != self._epoch:
                self._open_epoch(epoch)
            position = int(np.searchsorted(self._ends, offset, side="right"))
            while filled < count and position < self._order.size:
                passage = self._order[position]
                rest = int(self._ends[position]) - offset
                take = min(rest, count - filled)
                end = int(self._last[passage]) - rest + take
                out[filled : filled + take] = self._tokens[end - take : end]
                filled += take
                offset += take
                position += 1
        return out

    def passages(self, start: int, count: int) -> NDArray[np.int64]:
        """Number the passages of tokens.

        Args:
            start: Position of the first token.
            count: Number of tokens.

        Returns:
            Passage [count] of each token, counted along the stream.
        """
        positions = np.arange(start, start + count)
        epochs, offsets = np.divmod(positions, self.tokens_per_epoch)
        passages = np.empty(count, np.int64)
        for epoch in np.unique(epochs):
            if epoch != self._epoch:
                self._open_epoch(int(epoch))
            inside = epochs == epoch
            passages[inside] = epoch * self._order.size + np.searchsorted(self._ends, offsets[inside], side="right")
        return passages


class Sequences:
    """The sequences that a proxy trains on, batch by batch; a batch depends on its number alone.

    Attributes:
        leaves: The leaves with weight, sorted.
    """

    def __init__(
        self, mixture: Mapping[str, float], corpora: Mapping[str, Corpus], recipe: ProxyRecipe, attempt: int = 0
    ) -> None:
        """Lay out the sequences.

        Args:
            mixture: {leaf: weight}, without zeros.
            corpora: {leaf: its tokens}.
            recipe: The recipe.
            attempt: Number of the attempt; each has another order of the same sequences.

        Raises:
            TrainingError: If a leaf has fewer tokens than one sequence needs.
        """
        self.leaves = sorted(mixture)
        self._streams = [LeafStream(corpora[leaf], leaf, recipe.share) for leaf in self.leaves]
        self._length, self._rows = recipe.sequence_length, recipe.batch_size
        for leaf, stream in zip(self.leaves, self._streams, strict=True):
            if stream.tokens_per_epoch <= self._length:
                raise TrainingError(
                    f"domain {leaf[:12]}: found {stream.tokens_per_epoch} tokens to train on; expected more than"
                    f" one sequence of {self._length}"
                )
        weights = LeafIndex(tuple(self.leaves)).vector(mixture)
        self._owners = schedule(weights, recipe.steps * self._rows, self.leaves, recipe.seed, attempt)
        counts = np.bincount(self._owners, minlength=len(self.leaves))
        # The i-th sequence of a leaf is the i-th of its stream.
        self._places = np.empty(self._owners.size, np.int64)
        self._places[np.argsort(self._owners, kind="stable")] = np.concatenate([np.arange(n) for n in counts.tolist()])
        self._counts = counts

    @cached_property
    def tokens(self) -> dict[str, int]:
        """Number of training tokens per leaf."""
        return LeafIndex(tuple(self.leaves)).mapping(self._counts * self._length)

    @cached_property
    def epochs(self) -> dict[str, float]:
        """Passes over the text of each leaf, or over the share that is used, {leaf: epochs}."""
        return {
            leaf: self.tokens[leaf] / stream.tokens_per_epoch
            for leaf, stream in zip(self.leaves, self._streams, strict=True)
        }

    def batch(self, step: int) -> NDArray[np.int64]:
        """Read a batch.

        Args:
            step: Its number.

        Returns:
            Token ids [rows, length + 1]: inputs and, shifted by one, their targets.
        """
        return np.stack([stream.read(start, self._length + 1) for stream, start in self._parts(step)])

    def passages(self, step: int) -> NDArray[np.int64]:
        """Number the passages of a batch.

        Args:
            step: Its number.

        Returns:
            Passage [rows, length] of each input token in its leaf.
        """
        return np.stack([stream.passages(start, self._length) for stream, start in self._parts(step)])

    def _parts(self, step: int) -> list[tuple[LeafStream, int]]:
        rows = slice(step * self._rows, (step + 1) * self._rows)
        pairs = zip(self._owners[rows].tolist(), self._places[rows].tolist(), strict=True)
        return [(self._streams[owner], place * self._length) for owner, place in pairs]


def schedule(weights: Array, sequences: int, leaves: list[str], seed: int, attempt: int = 0) -> NDArray[np.int64]:
    """Assign training sequences to leaves.

    Every leaf has its share to within one sequence and is spread evenly over training: the i-th of its n sequences
    falls at (i + u) / n of the way, with u in [0, 1) drawn per leaf and attempt.

    Args:
        weights: Weight [m] of each leaf.
        sequences: Number of sequences.
        leaves: Fingerprints [m], which u depends on.
        seed: Seed of the recipe.
        attempt: Number of the attempt.

    Returns:
        Index [sequences] of the leaf of each sequence.
    """
    second = (attempt,) if attempt else ()
    counts = apportion(weights, sequences)
    places = [
        (np.arange(count) + seed_of("place", leaf, seed, *second).random()) / count
        for leaf, count in zip(leaves, counts.tolist(), strict=True)
        if count
    ]
    owners = np.repeat(np.arange(counts.size), counts)
    order = np.argsort(np.concatenate(places), kind="stable")
    return owners[order]
