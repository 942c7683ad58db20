"""Mixtures: points on the simplex over leaves, and the expansion matrix through which they are chosen.

A mixture q [m] lives on leaves. It is chosen through free dimensions r [d] on their own simplex: q = E r, where the
columns of E [m, d] are mixtures themselves. Whatever freezes ratios is a choice of E: with nothing frozen E is the
identity; leaves with pinned shares make one column together.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector = NDArray[np.float64]

# Weights are kept to this many decimals, so that the last bits of a platform's arithmetic are not part of identity.
DECIMALS = 12


def natural(tokens: ArrayLike) -> Vector:
    """[m] the natural mixture: in proportion to the tokens N_j that each leaf has."""
    counts: Vector = np.asarray(tokens, np.float64)
    shares: Vector = counts / counts.sum()
    return shares


def caps(tokens: ArrayLike, target_tokens: float, repetition: float) -> Vector:
    """[m] the highest weight of each leaf, k N_j / R: at most `repetition` epochs in a run of `target_tokens`."""
    return np.asarray(tokens, np.float64) * (repetition / target_tokens)


def tidy(weights: ArrayLike) -> Vector:
    """[m] the same mixture with DECIMALS decimals, summing to 1; what rounds to 0 is 0."""
    rounded: Vector = np.asarray(weights, np.float64).round(DECIMALS) + 0.0  # turns -0 into 0
    largest = int(np.argmax(rounded))
    rounded[largest] = 0.0
    rounded[largest] = round(1.0 - float(rounded.sum()), DECIMALS)
    return rounded


def apportion(weights: ArrayLike, total: int) -> NDArray[np.int64]:
    """[m] whole numbers that add up to `total`, each within one of weight x total (largest remainders).

    Among equal remainders the leaf that comes first gets the one more.
    """
    exact = np.asarray(weights, np.float64) * total
    counts = np.floor(exact).astype(np.int64)
    missing = total - int(counts.sum())
    order = np.argsort(counts - exact, kind="stable")
    counts[order[:missing]] += 1
    return counts
