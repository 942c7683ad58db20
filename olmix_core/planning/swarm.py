"""The swarm: the mixtures that proxies are trained on (paper, section 3).

Mixture i is drawn from a Dirichlet distribution around the natural mixture, alpha = s p with sum(p) = 1, whose
strength s is itself drawn log-uniformly: small strengths give extreme mixtures, large ones stay near natural. It is
a function of (seed, i) alone, so a larger swarm keeps the runs of a smaller one.
"""

import numpy as np

from olmix_core.config.swarm import Swarm
from olmix_core.errors import ProposalError
from olmix_core.mixture import Array, tidy

DRAWS = 64  # drawn at once where bounds reject some
TRIES = 1000  # times DRAWS, before bounds are called too strict


def sample_mixture(
    index: int,
    prior: Array,
    expansion: Array,
    settings: Swarm,
    lower: Array,
    upper: Array,
) -> Array:
    """[m] leaf weights of mixture `index`.

    Shapes: prior [d], the natural weight of each free dimension; expansion [m, d]; lower, upper [m].

    Raises:
        ProposalError: no mixture was found within the bounds.
    """
    rng = np.random.default_rng(np.random.SeedSequence([settings.seed, index]))
    floor = settings.minimum_weight
    dimensions = prior.size
    if settings.sparsity == "dense" and floor * dimensions > 1:
        raise ProposalError(
            f"swarm.minimum_weight: found {floor} for {dimensions} free dimensions;"
            f" expected at most {1 / dimensions:.4g} in a dense swarm"
        )
    for _ in range(TRIES):
        strength = np.exp(rng.uniform(np.log(settings.min_strength), np.log(settings.max_strength)))
        draws = rng.dirichlet(strength * prior, size=DRAWS)
        if settings.sparsity == "dense":
            draws = floor + (1 - dimensions * floor) * draws
        else:
            draws[draws < floor] = 0.0
        totals = draws.sum(axis=1)  # NaN or 0 where every gamma variate underflowed
        for draw, total in zip(draws, totals, strict=True):
            if not total > 0:
                continue
            mixture = tidy(expansion @ (draw / total))
            if np.all(mixture >= lower) and np.all(mixture <= upper):
                return mixture
    raise ProposalError(
        f"swarm.bounds: none of {TRIES * DRAWS} mixtures lies within them; expected wider bounds, or strengths that"
        " reach them"
    )


def sample_swarm(runs: int, prior: Array, expansion: Array, settings: Swarm, lower: Array, upper: Array) -> Array:
    """[K, m] the first `runs` distinct mixtures (extreme ones, with few leaves in them, can come twice).

    Raises:
        ProposalError: bounds or settings leave no such number of mixtures.
    """
    found: dict[bytes, Array] = {}
    for index in range(TRIES * runs):
        mixture = sample_mixture(index, prior, expansion, settings, lower, upper)
        found.setdefault(mixture.tobytes(), mixture)
        if len(found) == runs:
            return np.stack(list(found.values()))
    raise ProposalError(
        f"swarm.runs: found only {len(found)} different mixtures; expected {runs}: ask for fewer, or choose larger"
        " strengths or wider bounds"
    )
