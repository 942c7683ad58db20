"""The proposal: the mixture with the least predicted BPB that keeps close to a reference and within
its caps.

    minimise over r   sum_i w_i f_i(E r) + kl KL(E r || reference)
    subject to        r on the simplex,  lower <= E r <= min(cap, upper) on every leaf

(Olmix, arXiv 2602.12237: w_i = 1 / T, kl = 0.05, reference = natural, cap = k N_j / R.) Both laws are convex, so the
optimum is the only one, and a proposal carries its certificate: how much better any feasible mixture could be at most
(`program`). With `pessimism` z the objective gains z times the standard deviation of the predicted mean, which is not
convex: several starts, a local solver, and no certificate. The same holds for the comparison families (`sampled`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olmix_core.errors import ProposalError
from olmix_core.mixture import Array
from olmix_core.proposal.constraints import Groups, check_feasible, region
from olmix_core.proposal.objective import Program, corners, solve_convex, solve_locally
from olmix_core.proposal.random_search import solve_by_sampling
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.task_weights import normalised

__all__ = ["Groups", "Proposal", "check_feasible", "propose"]


_CORNERS = 3  # starts of the local solver beside the optimum without pessimism
_AT_CAP = 1e-7  # relative distance to its cap at which a leaf counts as held by it


@dataclass(frozen=True)
class Proposal:
    """A mixture and how it came about.

    weights [m] sum to 1 and keep every bound; free [d] is the mixture of columns behind it.
    objective is the weighted mean BPB and predicted [T] the BPB per task, both at the weights.
    shadow_prices [m] >= 0: BPB gained per unit of weight by which the cap of a leaf is raised.
    at_cap [m]: the leaf is held by its cap. gap: BPB (penalty included) by which the best feasible
    mixture could be better, at most; None where nothing proves it. residual: the largest violation
    of any constraint.
    """

    weights: Array
    free: Array
    objective: float
    predicted: Array
    shadow_prices: Array
    at_cap: NDArray[np.bool_]
    status: str
    gap: float | None
    residual: float


def propose(
    surrogate: Surrogate,
    *,
    expansion: Array,
    natural: Array,
    caps: Array,
    kl: float = 0.05,
    task_weights: Array | None = None,
    reference: Array | None = None,
    lower: Array | None = None,
    upper: Array | None = None,
    groups: Groups | None = None,
    pessimism: float = 0.0,
) -> Proposal:
    """The best mixture over the columns of `expansion` [m, d] (columns on the simplex, q = E r).

    natural [m]: token shares of the leaves, the KL reference unless `reference` [m] is given; a
    leaf whose reference is 0 gets no weight while kl > 0. caps, lower, upper [m]: limits on leaf
    weights (caps may be np.inf); groups: limits on summed weights of leaves. task_weights [T] are
    normalised; None means equal. pessimism: standard deviations of the predicted mean that are
    added to it. Raises ProposalError when the constraints contradict each other or no solver
    reaches the optimum within 1e-6 BPB.
    """
    leaves = surrogate.leaves
    expansion = np.asarray(expansion, dtype=np.float64)
    if expansion.ndim != 2 or len(expansion) != len(leaves):
        raise ProposalError(f"the expansion has shape {expansion.shape}; expected {len(leaves)} rows, one per leaf")
    if not (kl >= 0 and pessimism >= 0 and np.isfinite([kl, pessimism]).all()):
        raise ProposalError(f"kl {kl} and pessimism {pessimism} must be numbers >= 0")
    reference = _distribution(natural if reference is None else reference, len(leaves))
    if kl > 0:
        unknown = np.where(reference > 0, np.inf, 0.0)
        _check_reference(unknown, lower, leaves)
        upper = unknown if upper is None else np.minimum(upper, unknown)
    check_feasible(expansion, caps, lower, upper, leaves, groups)
    program = Program(
        surrogate=surrogate,
        task_weights=normalised(task_weights, surrogate.tasks),
        reference=reference,
        kl=kl,
        pessimism=pessimism,
        region=region(expansion, caps, lower, upper, groups),
    )
    if surrogate.fitted_law is None:
        free, status = solve_by_sampling(program, surrogate)
    else:
        free, status = solve_convex(program)
        if pessimism:
            starts = [free, *((free + corner) / 2 for corner in corners(program.region, _CORNERS))]
            free, status = solve_locally(program, starts)
    return _finish(program, free, status, np.asarray(caps, dtype=np.float64))


def _distribution(values: Array, count: int) -> Array:
    """A reference distribution [m] that sums to 1."""
    values = np.asarray(values, dtype=np.float64)
    usable = values.shape == (count,) and np.isfinite(values).all() and (values >= 0).all()
    if not usable or values.sum() <= 0:
        raise ProposalError(f"the natural or reference mixture must be {count} numbers >= 0, not all 0")
    shares: Array = values / values.sum()
    return shares


def _check_reference(upper: Array, lower: Array | None, leaves: tuple[str, ...]) -> None:
    """No leaf may be asked for that the KL reference excludes."""
    if lower is None:
        return
    asked = [leaf for leaf, low, most in zip(leaves, lower, upper, strict=True) if low > most]
    if asked:
        raise ProposalError(
            f"{asked[0]} has a lower bound but weight 0 in the reference of the KL term; "
            "give it a share there, drop the bound or set kl to 0"
        )


def _finish(program: Program, free: Array, status: str, caps: Array) -> Proposal:
    """Check the answer and put its certificate together."""
    limits, surrogate = program.region, program.surrogate
    weights = limits.repaired(limits.expansion @ free)
    gap, prices = program.certificate(free) if surrogate.is_convex else (None, np.zeros(len(limits.upper)))
    m = len(weights)
    by_cap = caps <= limits.upper[:m]
    predicted = surrogate.predict(weights[None])[0]
    return Proposal(
        weights=weights,
        free=free,
        objective=float(predicted @ program.task_weights),
        predicted=predicted,
        shadow_prices=np.where(by_cap, prices[:m], 0.0),
        at_cap=by_cap & (weights >= caps * (1 - _AT_CAP)) & (caps > 0),
        status=status,
        gap=None if program.pessimism else gap,
        residual=limits.violation(weights),
    )
