"""Which unaffected leaves to recompute: the coupling between what is kept and what is new.

Keeping old ratios costs the more, the more the kept leaves and the recomputed ones matter to the same tasks. Theorem 1
of the paper (arXiv 2602.12237) bounds the cost by a term that grows with

    kappa = || (1 + alpha_fix + alpha_comp) * alpha_fix ||        (norm over tasks, product by task)

where alpha_fix and alpha_comp [T] are the norms of each task's log-linear coefficients over the kept and over the
recomputed leaves. Releasing a leaf moves its coefficients from the first to the second. Coefficients are taken as
deviations from their mean under the old mixture: what all leaves have in common moves no ratio.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from olmix_core.mixture import Array


@dataclass(frozen=True)
class Release:
    """A leaf that is recomputed although it did not change: kappa before and after, and what it costs in runs."""

    leaf: int
    before: float
    after: float

    @property
    def fall(self) -> float:
        """The share of the coupling that goes away."""
        return 1 - self.after / self.before if self.before > 0 else 0.0


def kappa(coefficients: Array, fixed: Sequence[int], recomputed: Sequence[int]) -> float:
    """The coupling term; coefficients [T, m], `fixed` and `recomputed` are columns of it."""
    alpha_fix = np.linalg.norm(coefficients[:, list(fixed)], axis=1)
    alpha_comp = np.linalg.norm(coefficients[:, list(recomputed)], axis=1)
    return float(np.linalg.norm((1 + alpha_fix + alpha_comp) * alpha_fix))


def centred(coefficients: Array, weights: Array) -> Array:
    """[T, m] coefficients as deviations from their mean under the mixture `weights` [m]."""
    deviations: Array = coefficients - (coefficients @ weights)[:, None]
    return deviations


def candidates(coefficients: Array, fixed: Sequence[int], recomputed: Sequence[int]) -> list[Release]:
    """For every fixed leaf, what kappa becomes if it alone is released; the largest fall first."""
    before = kappa(coefficients, fixed, recomputed)
    found = [
        Release(leaf, before, kappa(coefficients, [f for f in fixed if f != leaf], [*recomputed, leaf]))
        for leaf in fixed
    ]
    return sorted(found, key=lambda one: (one.after, one.leaf))


def greedy_release(
    coefficients: Array, fixed: Sequence[int], recomputed: Sequence[int], runs_per_dimension: int
) -> list[Release]:
    """The leaves worth releasing, in order: each takes away a larger share of the coupling than it adds to the runs.

    With d free dimensions (the recomputed leaves and the kept block) the swarm has c (d + 1) runs, c =
    `runs_per_dimension`; a released leaf adds c more.
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
