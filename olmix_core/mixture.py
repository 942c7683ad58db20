"""Mixtures: points on the simplex over leaves, as vectors and as mappings.

A mixture q [m] lives on leaves. It is chosen through free dimensions r [d] on their own simplex: q = E r, where the
columns of E [m, d] are mixtures themselves (see `olmix_core.proposal.expansion`). Within a computation a mixture is a
vector; on disk and between steps it is a mapping {leaf: weight}. A `LeafIndex` turns one into the other.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Mixture = dict[str, float]  # {leaf: weight}

# Weights are rounded to this many decimals, so that the last bits of a platform's arithmetic are not part of identity.
DECIMALS = 12

_ROUNDING = 1e-9  # a weight that is less than 0 by no more is 0: what is left of a subtraction, say -2e-17


def without_rounding(weights: Array) -> Array:
    """Set weights to 0 that are below 0 by rounding only.

    Args:
        weights: Weights of any shape; those below -1e-9 stay as they are, for a check to refuse.

    Returns:
        The weights.
    """
    return np.asarray(np.where((weights < 0) & (weights >= -_ROUNDING), 0.0, weights), dtype=np.float64)


@dataclass(frozen=True)
class LeafIndex:
    """A fixed order of m leaves, which converts between mappings {leaf: value} and vectors [m].

    Attributes:
        names: The leaves, in order; each once.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self._positions) != len(self.names):
            repeated = next(name for name in self.names if self.names.count(name) > 1)
            raise ValueError(f"leaf {repeated!r} appears more than once; expected each leaf once")

    @classmethod
    def sorted(cls, names: Iterable[str]) -> "LeafIndex":
        """Index the leaves in alphabetical order, the order of content fingerprints in every computation.

        Args:
            names: The leaves, in any order; repeated ones count once.

        Returns:
            Their index.
        """
        return cls(tuple(sorted(set(names))))

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.names)}

    def __len__(self) -> int:
        """The number of leaves, m."""
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the leaves in order."""
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        """Whether `name` is one of the leaves."""
        return name in self._positions

    def position(self, name: str) -> int:
        """Look up the position of a leaf.

        Args:
            name: The leaf.

        Returns:
            Its position in a vector.

        Raises:
            ValueError: There is no such leaf.
        """
        if name not in self._positions:
            raise ValueError(f"unknown leaf {name!r}; expected one of: {', '.join(self.names)}")
        return self._positions[name]

    def vector(self, values: Mapping[str, float], default: float = 0.0) -> Array:
        """Arrange values by leaf.

        Args:
            values: {leaf: value}.
            default: The value of leaves that `values` leaves out.

        Returns:
            [m] the values.

        Raises:
            ValueError: `values` has an unknown leaf.
        """
        vector = np.full(len(self), default, np.float64)
        for name, value in values.items():
            vector[self.position(name)] = value
        return vector

    def matrix(self, columns: Sequence[Mapping[str, float]]) -> Array:
        """Arrange several mappings as columns.

        Args:
            columns: D mappings {leaf: value}; leaves left out are 0.

        Returns:
            [m, d] a column for each mapping.

        Raises:
            ValueError: A mapping has an unknown leaf.
        """
        matrix = np.zeros((len(self), len(columns)))
        for index, column in enumerate(columns):
            matrix[:, index] = self.vector(column)
        return matrix

    @overload
    def mapping(self, vector: NDArray[np.float64]) -> dict[str, float]: ...
    @overload
    def mapping(self, vector: NDArray[np.int64]) -> dict[str, int]: ...
    @overload
    def mapping(self, vector: NDArray[np.bool_]) -> dict[str, bool]: ...
    def mapping(
        self, vector: NDArray[np.float64] | NDArray[np.int64] | NDArray[np.bool_]
    ) -> dict[str, float] | dict[str, int] | dict[str, bool]:
        """Name the values of a vector.

        Args:
            vector: [m] numbers or truth values.

        Returns:
            {leaf: value} for every leaf, in order, as plain Python values.

        Raises:
            ValueError: The vector has another length.
        """
        return dict(zip(self.names, vector.tolist(), strict=True))

    def mixture(self, weights: Array) -> Mixture:
        """Name the weights of a mixture.

        Args:
            weights: [m] weights.

        Returns:
            {leaf: weight} of the leaves that have a weight, in order.

        Raises:
            ValueError: The vector has another length.
        """
        return {name: weight for name, weight in self.mapping(weights).items() if weight > 0}


def natural(tokens: ArrayLike) -> Array:
    """Compute the natural mixture: in proportion to the tokens of each leaf.

    Args:
        tokens: [m] tokens N_j available of each leaf.

    Returns:
        [m] weights, which sum to 1.
    """
    counts: Array = np.asarray(tokens, np.float64)
    shares: Array = counts / counts.sum()
    return shares


def caps(tokens: ArrayLike, target_tokens: float, repetition: float) -> Array:
    """Compute the highest weight of each leaf, k N_j / R.

    Args:
        tokens: [m] tokens N_j available of each leaf.
        target_tokens: Tokens R of the run.
        repetition: Epochs k of a leaf, at most.

    Returns:
        [m] weights; more than 1 where a leaf cannot reach its cap.
    """
    return np.asarray(tokens, np.float64) * (repetition / target_tokens)


def tidy(weights: ArrayLike) -> Array:
    """Round a mixture to `DECIMALS` decimals.

    Args:
        weights: [m] weights, which sum to 1.

    Returns:
        [m] rounded weights, which sum to 1; the largest takes the rounding error.
    """
    rounded: Array = np.asarray(weights, np.float64).round(DECIMALS) + 0.0  # turns -0 into 0
    largest = int(np.argmax(rounded))
    rounded[largest] = 0.0
    rounded[largest] = round(1.0 - float(rounded.sum()), DECIMALS)
    return rounded


def apportion(weights: ArrayLike, total: int) -> NDArray[np.int64]:
    """Divide a whole number among leaves by the method of largest remainders.

    Args:
        weights: [m] weights, which sum to 1.
        total: The number to divide.

    Returns:
        [m] whole numbers that sum to `total`, each within one of weight x total. Among equal remainders the first
        leaf gets the extra one.
    """
    exact = np.asarray(weights, np.float64) * total
    counts = np.floor(exact).astype(np.int64)
    missing = total - int(counts.sum())
    order = np.argsort(counts - exact, kind="stable")
    counts[order[:missing]] += 1
    return counts
