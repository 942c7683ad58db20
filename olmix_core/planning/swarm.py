"""The swarm: the mixtures that proxies are trained on (paper, section 3).

Mixture i is drawn from a Dirichlet distribution around the natural mixture, alpha = s p with sum(p) = 1, whose
strength s is itself drawn log-uniformly: small strengths give extreme mixtures, large ones stay near natural. It is
a function of (seed, i) alone, so a larger swarm keeps the runs of a smaller one.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from olmix_core.config.swarm import SwarmSampling
from olmix_core.errors import ProposalError
from olmix_core.mixture import Array, LeafIndex, tidy
from olmix_core.proposal.expansion import Column, expansion

DRAWS = 64  # mixtures drawn at once, where bounds reject some
_POWERS = (0.5, 0.25, 0.125)  # of natural weights, tried in turn until every leaf is in two runs
TRIES = 1000  # times DRAWS mixtures are drawn before bounds count as too strict


@dataclass(frozen=True)
class SwarmSpace:
    """The mixtures that a swarm is drawn from.

    Attributes:
        prior: [d] natural weight of each free dimension.
        expansion: [m, d] expansion matrix E.
        lower: [m] lowest weight of each leaf.
        upper: [m] highest weight of each leaf.
    """

    prior: Array
    expansion: Array
    lower: Array
    upper: Array

    @classmethod
    def of_columns(
        cls,
        columns: Sequence[Column],
        leaves: LeafIndex,
        natural: Mapping[str, float],
        bounds: Mapping[str, tuple[float, float]],
    ) -> "SwarmSpace":
        """Arrange columns and bounds by leaf.

        Args:
            columns: Columns of the expansion, {leaf: share} each.
            leaves: Order of the leaves.
            natural: {leaf: weight} of the natural mixture.
            bounds: {leaf: (lowest, highest weight)}; the other leaves have none.

        Returns:
            The space, with the natural mixture as its prior.
        """
        return cls(
            prior=np.array([sum(natural[leaf] for leaf in column) for column in columns]),
            expansion=expansion(columns, leaves.names),
            lower=leaves.vector({leaf: low for leaf, (low, _) in bounds.items()}),
            upper=leaves.vector({leaf: high for leaf, (_, high) in bounds.items()}, default=1.0),
        )


def sample_mixture(index: int, space: SwarmSpace, settings: SwarmSampling) -> Array:
    """Draw one mixture of a swarm.

    Args:
        index: Number of the mixture.
        space: Where mixtures are drawn from.
        settings: How they are drawn.

    Returns:
        [m] leaf weights.

    Raises:
        ProposalError: No mixture was found within the bounds.
    """
    rng = np.random.default_rng(np.random.SeedSequence([settings.seed, index]))
    floor = settings.minimum_weight
    dimensions = space.prior.size
    if settings.sparsity == "dense" and floor * dimensions > 1:
        raise ProposalError(
            f"swarm.minimum_weight: found {floor} for {dimensions} free dimensions;"
            f" expected at most {1 / dimensions:.4g} in a dense swarm"
        )
    for _ in range(TRIES):
        strength = np.exp(rng.uniform(np.log(settings.min_strength), np.log(settings.max_strength)))
        draws = rng.dirichlet(strength * space.prior, size=DRAWS)
        if settings.sparsity == "dense":
            draws = floor + (1 - dimensions * floor) * draws
        else:
            draws[draws < floor] = 0.0
        totals = draws.sum(axis=1)  # NaN or 0 where every gamma variate underflowed
        for draw, total in zip(draws, totals, strict=True):
            if not total > 0:
                continue
            mixture = tidy(space.expansion @ (draw / total))
            if np.all(mixture >= space.lower) and np.all(mixture <= space.upper):
                return mixture
    raise ProposalError(
        f"swarm.bounds: none of {TRIES * DRAWS} mixtures lies within them; expected wider bounds, or strengths that"
        " reach them"
    )


def sample_swarm(runs: int, space: SwarmSpace, settings: SwarmSampling) -> Array:
    """Draw the first distinct mixtures of a swarm; extreme ones, with few leaves, can occur twice.

    Where some natural weights are so small that their leaves are never drawn, there may be too few mixtures. They are
    then drawn around natural weights to the power of 1/2, 1/4 or 1/8, the first that gives each leaf to two
    runs.

    Args:
        runs: Number of mixtures K.
        space: Where mixtures are drawn from.
        settings: How they are drawn.

    Returns:
        [K, m] leaf weights.

    Raises:
        ProposalError: Bounds or settings leave fewer mixtures.
    """
    try:
        return _distinct_mixtures(runs, space, settings)
    except ProposalError:
        for power in _POWERS:
            tempered = space.prior**power
            with suppress(ProposalError):
                swarm = _distinct_mixtures(runs, replace(space, prior=tempered / tempered.sum()), settings)
                if np.all((np.count_nonzero(swarm, axis=0) >= 2) | (space.expansion @ space.prior <= 0)):
                    return swarm
        raise


def _distinct_mixtures(runs: int, space: SwarmSpace, settings: SwarmSampling) -> Array:
    """[K, m] the first distinct mixtures; raises ProposalError where there are fewer."""
    distinct: dict[bytes, Array] = {}
    for index in range(TRIES * runs):
        mixture = sample_mixture(index, space, settings)
        distinct.setdefault(mixture.tobytes(), mixture)
        if len(distinct) == runs:
            return np.stack(list(distinct.values()))
    raise ProposalError(
        f"swarm.runs: found only {len(distinct)} different mixtures; expected {runs}: ask for fewer, or choose larger"
        " strengths or wider bounds"
    )
