"""The proposal of a family that is not convex: candidates are drawn, the best kept, and slopes followed.

Rounds of candidates from Dirichlet distributions, first around the KL reference and then ever closer around the best so
far; a candidate outside the region is pulled towards a point inside until it is in. The mixtures that proxies were
trained on are candidates as well, and for `search` the only ones. Seeded, so that the answer is always the same one.
"""

import numpy as np
from scipy.optimize import nnls

from olmix_core.errors import ProposalError
from olmix_core.mixture import Array
from olmix_core.proposal.constraints import FeasibleSet
from olmix_core.proposal.objective import Program, corners, solve_locally
from olmix_core.surrogate.base import Surrogate

_ROUNDS, _DRAWS = 12, 4096
_FIRST, _LAST = 5.0, 5000.0  # Dirichlet strength of the first and of the last round
_THIN = 1e-3  # strength that every leaf has, so that a weight of 0 can grow
_INSIDE = 16  # corners whose mean is a point inside
_FOLLOWED = 4  # candidates from which slopes are followed
_SAME = 1e-9


def solve_by_sampling(program: Program, model: Surrogate) -> tuple[Array, str]:
    """Columns r [d] of the best mixture found, and how it was found.

    Raises ProposalError where `search` has no run in the region.
    """
    region = program.region
    run = _within(region, model.trained_mixtures)
    if model.proposes_runs_only:
        if not len(run):
            raise ProposalError(
                "family 'search' proposes one of the mixtures that were run, and none of them meets the caps, bounds"
                " and frozen ratios; choose another family or allow more epochs"
            )
        return run[np.argmin(program.values(run))], f"best of {len(run)} runs"
    inside = np.mean(corners(region, _INSIDE), axis=0)
    around, _ = nnls(region.expansion, program.reference)
    pool = np.vstack([run, shrink_into(region, inside, around[None] / around.sum())])
    values = program.values(pool)
    random = np.random.default_rng(0)
    for strength in np.geomspace(_FIRST, _LAST, _ROUNDS):
        centre = pool[np.argmin(values)]
        drawn = shrink_into(region, inside, random.dirichlet(strength * centre + _THIN, _DRAWS))
        pool, values = np.vstack([pool, drawn]), np.concatenate([values, program.values(drawn)])
        best = np.argsort(values, kind="stable")[:_FOLLOWED]
        pool, values = pool[best], values[best]
    if not model.is_smooth:
        return pool[0], f"best of {_ROUNDS * _DRAWS} candidates"
    free, _ = solve_locally(program, list(pool))
    found = min((free, pool[0]), key=program.value)
    return found, f"local optimum from the best of {_ROUNDS * _DRAWS} candidates"


def shrink_into(region: FeasibleSet, inside: Array, R: Array) -> Array:
    """R [n, d], those outside the region moved towards `inside` [d] until they are in."""
    at, step = region.matrix @ inside, (R - inside) @ region.matrix.T
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        up = np.where(step > 0, (region.upper - at) / step, np.inf)
        down = np.where(step < 0, (region.lower - at) / step, np.inf)
    share = np.clip(np.minimum(up, down).min(axis=1), 0.0, 1.0)
    return np.asarray(inside + share[:, None] * (R - inside))


def _within(region: FeasibleSet, Q: Array) -> Array:
    """[n', d] the columns behind those of the mixtures Q [n, m] that lie in the region."""
    found = []
    for q in Q:
        r, distance = nnls(region.expansion, q)
        if distance < _SAME and region.violation(region.expansion @ r) < _SAME:
            found.append(r / r.sum())
    return np.array(found).reshape(-1, region.expansion.shape[1])
