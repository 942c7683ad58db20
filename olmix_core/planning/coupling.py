"""The coupling between kept and recomputed leaves, which says what keeping old ratios may cost.

Keeping old ratios costs more where kept and recomputed leaves matter to the same tasks. Theorem 1 of the paper
(arXiv 2602.12237) bounds the cost by a term that grows with

    kappa = || (1 + alpha_fix + alpha_comp) * alpha_fix ||        (norm over tasks, product by task)

where alpha_fix and alpha_comp [T] are the norms of each task's log-linear coefficients over the kept and over the
recomputed leaves. Releasing a leaf moves its coefficients from the first to the second. Coefficients are deviations
from their mean under the old mixture, since an effect that all leaves share moves no ratio.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from olmix_core.mixture import Array


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
    releases = [
        Release(leaf, before, kappa(coefficients, [f for f in fixed if f != leaf], [*recomputed, leaf]))
        for leaf in fixed
    ]
    return sorted(releases, key=lambda release: (release.after, release.leaf))


def greedy_release(
    coefficients: Array, fixed: Sequence[int], recomputed: Sequence[int], runs_per_dimension: int
) -> list[Release]:
    """Release leaves greedily, as long as each removes a larger share of the coupling than it adds to the runs.

    With d free dimensions (the recomputed leaves and the kept block) the swarm has c (d + 1) runs; a released leaf
    adds c more.

    Args:
        coefficients: [T, m] centred log-linear coefficients.
        fixed: Columns of the kept leaves.
        recomputed: Columns of the recomputed leaves.
        runs_per_dimension: Runs c for each free dimension.

    Returns:
        The releases, in order; at least one leaf stays kept.
    """
    kept, free = list(fixed), list(recomputed)
    chosen: list[Release] = []
    while len(kept) > 1:
        best = candidates(coefficients, kept, free)[0]
        runs = runs_per_dimension * (len(free) + 2)
        if best.fall <= runs_per_dimension / runs:
            break
        chosen.append(best)
        kept.remove(best.leaf)
        free.append(best.leaf)
    return chosen
