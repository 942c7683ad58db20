"""The coupling between kept and recomputed leaves, which says what keeping old ratios may cost.

Keeping old ratios costs more where kept and recomputed leaves matter to the same tasks. Theorem 1 of the paper
(arXiv 2602.12237) bounds the cost by a term that grows with

    kappa = || (1 + alpha_fix + alpha_comp) * alpha_fix ||        (norm over tasks, product by task)

where alpha_fix and alpha_comp [T] are the norms of each task's log-linear coefficients over the kept and over the
recomputed leaves. Releasing a leaf moves its coefficients from the first to the second. Coefficients are deviations
from their mean under the old mixture, since an effect that all leaves share moves no ratio.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from olmix_core.mixture import Array

MOST = 2 / 3  # of the draws must release a leaf


@dataclass(frozen=True)
class Release:
    """A leaf that is recomputed although it did not change.

    Attributes:
        leaf: Column of the leaf.
        before: Coupling kappa before its release.
        after: Coupling after it.
    """

    leaf: int
    before: float
    after: float

    @property
    def fall(self) -> float:
        """Share of the coupling that the release removes."""
        return 1 - self.after / self.before if self.before > 0 else 0.0


def kappa(coefficients: Array, fixed: Sequence[int], recomputed: Sequence[int]) -> float:
    """Compute the coupling term.

    Args:
        coefficients: [T, m] centred log-linear coefficients.
        fixed: Columns of the kept leaves.
        recomputed: Columns of the recomputed leaves.

    Returns:
        The coupling kappa.
    """
    alpha_fix = np.linalg.norm(coefficients[:, list(fixed)], axis=1)
    alpha_comp = np.linalg.norm(coefficients[:, list(recomputed)], axis=1)
    return float(np.linalg.norm((1 + alpha_fix + alpha_comp) * alpha_fix))


def centred(coefficients: Array, weights: Array) -> Array:
    """Centre coefficients on their mean under a mixture.

    Args:
        coefficients: [T, m] coefficients.
        weights: [m] the mixture.

    Returns:
        [T, m] deviations.
    """
    deviations: Array = coefficients - (coefficients @ weights)[:, None]
    return deviations


def candidates(coefficients: Array, fixed: Sequence[int], recomputed: Sequence[int]) -> list[Release]:
    """Compute the effect of releasing each kept leaf alone.

    Args:
        coefficients: [T, m] centred log-linear coefficients.
        fixed: Columns of the kept leaves.
        recomputed: Columns of the recomputed leaves.

    Returns:
        A release for each kept leaf, the largest fall first.
    """
    before = kappa(coefficients, fixed, recomputed)
    after = _after_each(coefficients, fixed, recomputed)
    releases = [Release(leaf, before, float(value)) for leaf, value in zip(fixed, after, strict=True)]
    return sorted(releases, key=lambda release: (release.after, release.leaf))


def _after_each(coefficients: Array, fixed: Sequence[int], recomputed: Sequence[int]) -> Array:
    """Kappa [n] after the release of each of n kept leaves alone."""
    squares = coefficients[:, list(fixed)] ** 2
    of_recomputed = np.sum(coefficients[:, list(recomputed)] ** 2, axis=1, keepdims=True)
    alpha_fix = np.sqrt(squares @ (1 - np.eye(len(fixed))))
    alpha_comp = np.sqrt(of_recomputed + squares)
    return np.asarray(np.linalg.norm((1 + alpha_fix + alpha_comp) * alpha_fix, axis=0))


def greedy_release(
    coefficients: Array, fixed: Sequence[int], recomputed: Sequence[int], runs_per_dimension: int
) -> list[int]:
    """Release leaves greedily, as long as each removes a larger share of the coupling than it adds to the runs.

    With d free dimensions (the recomputed leaves and the kept block) the swarm has c (d + 1) runs; a released leaf
    adds c more.

    Args:
        coefficients: [T, m] centred log-linear coefficients.
        fixed: Columns of the kept leaves.
        recomputed: Columns of the recomputed leaves.
        runs_per_dimension: Runs c for each free dimension.

    Returns:
        Columns of the released leaves, in order; at least one leaf stays kept.
    """
    kept, free = list(fixed), list(recomputed)
    released: list[int] = []
    while len(kept) > 1:
        before, after = kappa(coefficients, kept, free), _after_each(coefficients, kept, free)
        best = int(np.argmin(after))
        runs = runs_per_dimension * (len(free) + 2)
        if before <= 0 or 1 - after[best] / before <= runs_per_dimension / runs:
            break
        released.append(kept.pop(best))
        free.append(released[-1])
    return released


def stable_release(
    coefficients: Array, draws: Array, fixed: Sequence[int], recomputed: Sequence[int], runs_per_dimension: int
) -> list[Release]:
    """Release the leaves that `greedy_release` releases under most of the coefficients that the runs leave possible.

    The best fit alone would release other leaves with every draw of the runs. A leaf is released if two thirds of the
    drawn laws release it (stability selection, Meinshausen and Buehlmann 2010).

    Args:
        coefficients: [T, m] centred log-linear coefficients of the best fit.
        draws: [S, T, m] draws of these coefficients.
        fixed: Columns of the kept leaves.
        recomputed: Columns of the recomputed leaves.
        runs_per_dimension: Runs c for each free dimension.

    Returns:
        The releases, with their effect under the best fit; at least one leaf stays kept.
    """
    counts = Counter(leaf for draw in draws for leaf in greedy_release(draw, fixed, recomputed, runs_per_dimension))
    stable = {leaf for leaf in fixed if counts[leaf] >= MOST * len(draws)}
    if len(stable) == len(fixed):
        stable.remove(min(fixed, key=lambda leaf: (counts[leaf], -leaf)))
    kept, free = list(fixed), list(recomputed)
    released: list[Release] = []
    while len(released) < len(stable):
        best = next(release for release in candidates(coefficients, kept, free) if release.leaf in stable)
        released.append(best)
        kept.remove(best.leaf)
        free.append(best.leaf)
    return released
