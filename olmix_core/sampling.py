"""From a mixture to the sequences that a proxy trains on.

Each leaf is an endless stream of tokens: its passages in an order that depends on the leaf and the epoch alone, every
passage once an epoch. A sequence lies within one leaf. A mixture decides only how many sequences are taken from the
front of each stream, and where in training they come. So two proxies that give a leaf the same weight see the same
text of it (common random numbers), which takes noise out of their comparison.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from olmix_core.corpus import Corpus
from olmix_core.mixture import Vector, apportion


def seed_of(*parts: str | int) -> np.random.Generator:
    """A generator that depends on `parts` alone."""
    text = "\x00".join(str(part) for part in parts)
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))


class LeafStream:
    """The endless stream of a leaf's tokens."""

    def __init__(self, corpus: Corpus, fingerprint: str) -> None:
        self._corpus, self._fingerprint = corpus, fingerprint
        self._lengths = corpus.ends - corpus.starts
        self.tokens_per_epoch = int(self._lengths.sum())
        self._open_epoch(0)

    def _open_epoch(self, epoch: int) -> None:
        self._epoch = epoch
        self._order = seed_of("order", self._fingerprint, epoch).permutation(self._lengths.size)
        self._ends = np.cumsum(self._lengths[self._order])

    def read(self, start: int, count: int) -> NDArray[np.int64]:
        """[count] tokens of the stream from position `start`; fast when read from front to back."""
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
                end = int(self._corpus.ends[passage]) - rest + take
                out[filled : filled + take] = self._corpus.tokens[end - take : end]
                filled += take
                offset += take
                position += 1
        return out


def schedule(weights: Vector, sequences: int, leaves: list[str], seed: int) -> NDArray[np.int64]:
    """[sequences] the leaf (as an index) that each training sequence comes from.

    Every leaf has its share to within one sequence and is spread evenly over training: the i-th of its n sequences
    falls at (i + u) / n of the way, with u in [0, 1) drawn per leaf.
    """
    counts = apportion(weights, sequences)
    places = [
        (np.arange(count) + seed_of("place", leaf, seed).random()) / count
        for leaf, count in zip(leaves, counts.tolist(), strict=True)
        if count
    ]
    owners = np.repeat(np.arange(counts.size), counts)
    order = np.argsort(np.concatenate(places), kind="stable")
    return owners[order]
