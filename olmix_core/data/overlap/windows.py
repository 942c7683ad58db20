"""Hashes of spans of token ids: polynomials modulo 2^64, of which every span costs two look-ups (Karp and Rabin 1987).

A span of ids x_0 ... x_(n-1) has the hash sum_i v(x_i) B^i, where v scatters ids over 64 bits and B is odd. With the
sums over all prefixes of a text, the hash of any span is a difference, divided by a power of B. Equal spans have equal
hashes wherever they stand; the opposite is checked by comparing ids where it matters.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Positions = NDArray[np.int64]

_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)


@dataclass(frozen=True)
class SpanHashes:
    """Hashes of the spans of one text of n tokens.

    Attributes:
        sums: [n + 1] sums over prefixes.
        inverses: [n + 1] powers of 1 / B.
    """

    sums: Hashes
    inverses: Hashes

    def of(self, starts: Positions, ends: Positions) -> Hashes:
        """Hash spans.

        Args:
            starts: First token of each span, shape [k].
            ends: End of each span, shape [k].

        Returns:
            Hashes of the spans, shape [k].
        """
        return (self.sums[ends] - self.sums[starts]) * self.inverses[starts]


class TokenHasher:
    """Hashes texts of one vocabulary."""

    def __init__(self, vocab_size: int) -> None:
        """Prepare the values of all ids.

        Args:
            vocab_size: One more than the largest id.
        """
        self._values = _scattered(np.arange(vocab_size, dtype=np.uint64))
        self._powers, self._inverses = np.ones(1, np.uint64), np.ones(1, np.uint64)

    def spans(self, tokens: NDArray[Any]) -> SpanHashes:
        """Prepare the hashes of all spans of a text.

        Args:
            tokens: Token ids, shape [n].

        Returns:
            The hashes of its spans.
        """
        if self._powers.size <= tokens.size:
            self._powers, self._inverses = _powers(_BASE, tokens.size), _powers(_INVERSE, tokens.size)
        sums = np.zeros(tokens.size + 1, np.uint64)
        np.cumsum(self._values[tokens] * self._powers[: tokens.size], out=sums[1:])
        return SpanHashes(sums, self._inverses[: tokens.size + 1])


def join_hashes(hashes: Hashes, lengths: Positions, first: Positions) -> Hashes:
    """Hash texts from the hashes of their consecutive parts.

    Args:
        hashes: Hashes of n parts, shape [n].
        lengths: Tokens of each part, shape [n].
        first: First part of each text, ascending from 0, shape [k].

    Returns:
        Hash of each text, shape [k]; the same for any division into parts.
    """
    before = np.cumsum(lengths) - lengths
    offsets = before - np.repeat(before[first], np.diff(first, append=hashes.size))
    powers = np.power(np.full(offsets.size, _BASE, np.uint64), offsets.astype(np.uint64))
    joined: Hashes = np.add.reduceat(hashes * powers, first)
    return joined


def _powers(base: int, count: int) -> Hashes:
    """base^0 ... base^count."""
    powers = np.full(count + 1, base, np.uint64)
    powers[0] = 1
    accumulated: Hashes = np.multiply.accumulate(powers)
    return accumulated


def _scattered(ids: Hashes) -> Hashes:
    """Ids as 64 bits that look random (splitmix64, Steele, Lea and Flood 2014)."""
    mixed = (ids + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    scattered: Hashes = mixed ^ (mixed >> np.uint64(31))
    return scattered
