"""The proposal over the surrogate's leaves: the mixture with the least predicted BPB near a reference, within limits.

    minimise over r   sum_i w_i f_i(E r) + kl KL(E r || reference) + pessimism std(E r)
    subject to        r on the simplex,  lower <= E r <= min(cap, upper) on every leaf and group

(Chen et al. 2026, arXiv 2602.12237: w_i = 1 / T, kl = 0.05, reference = natural, cap = k N_j / R.) For a law without
pessimism this is convex: the optimum is unique, and a proposal has a certificate (`certificate`). With pessimism, or
for other families, it is the best local optimum or candidate found.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olmix_core.blas_threads import one_blas_thread
from olmix_core.errors import ProposalError
from olmix_core.mixture import Array
from olmix_core.proposal.certificate import certificate
from olmix_core.proposal.constraints import Groups, feasible_set
from olmix_core.proposal.convex import Solution, solve_convex
from olmix_core.proposal.feasibility import check_feasible
from olmix_core.proposal.local import corners, solve_locally
from olmix_core.proposal.objective import Program
from olmix_core.proposal.random_search import solve_by_sampling
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.task_weights import normalised

_CORNERS = 3  # starts of the local solver beside the optimum without pessimism
_AT_CAP = 1e-7  # relative distance to its cap at which a leaf counts as held by it


@dataclass(frozen=True)
class ProposalProblem:
    """What is minimised and within which limits, over the m leaves of a surrogate.

    Attributes:
        expansion: [m, d] E, whose columns lie on the simplex; q = E r.
        natural: [m] token shares, the KL reference unless `reference` is given.
        caps: [m] highest weights; np.inf where there is none.
        kl: Strength of the KL term.
        task_weights: [T] weights of the objective, normalised to sum to 1; None means equal.
        reference: [m] KL reference; a leaf whose reference is 0 gets no weight while kl > 0.
        lower: [m] lower bounds; None for none.
        upper: [m] upper bounds; None for none.
        groups: Bounds on summed weights of leaves.
        pessimism: Standard deviations of the predicted mean that are added to it.
    """

    expansion: Array
    natural: Array
    caps: Array
    kl: float = 0.05
    task_weights: Array | None = None
    reference: Array | None = None
    lower: Array | None = None
    upper: Array | None = None
    groups: Groups | None = None
    pessimism: float = 0.0


@dataclass(frozen=True)
class Proposal:
    """A mixture of m leaves and how it was found.

    Attributes:
        weights: [m] weights, which sum to 1 and keep every bound.
        free: [d] the mixture of columns behind it.
        objective: Weighted mean BPB at the weights.
        predicted: [T] BPB of every task at the weights.
        shadow_prices: [m] >= 0, BPB gained per unit of weight by which the cap of a leaf is raised.
        at_cap: [m] the leaf is held by its cap.
        status: How the mixture was found.
        gap: BPB (penalty included) by which the best feasible mixture could be better, at most; None without proof.
        residual: The largest violation of a constraint.
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


@one_blas_thread()
def propose(surrogate: Surrogate, problem: ProposalProblem) -> Proposal:
    """Find the best mixture over the columns of an expansion.

    Args:
        surrogate: The fit.
        problem: What is minimised and within which limits, over the surrogate's leaves.

    Returns:
        The proposal.

    Raises:
        ProposalError: The problem is invalid, or its constraints contradict each other.
    """
    law = surrogate.fitted_law
    program = _program(surrogate if law is None else law.unbounded, problem)
    if law is None:
        solution = Solution(*solve_by_sampling(program))
    else:
        solution = solve_convex(program)
        if problem.pessimism:
            free = solution.free
            starts = [free, *((free + corner) / 2 for corner in corners(program.feasible, _CORNERS))]
            solution = Solution(*solve_locally(program, starts))
    return _finish(program, surrogate, solution, np.asarray(problem.caps, dtype=np.float64))


def _program(surrogate: Surrogate, problem: ProposalProblem) -> Program:
    """Check the problem, and state it over columns."""
    leaves = surrogate.leaves
    expansion = np.asarray(problem.expansion, dtype=np.float64)
    kl, pessimism = problem.kl, problem.pessimism
    if expansion.ndim != 2 or len(expansion) != len(leaves):
        raise ProposalError(f"the expansion has shape {expansion.shape}; expected {len(leaves)} rows, one per leaf")
    if not (kl >= 0 and pessimism >= 0 and np.isfinite([kl, pessimism]).all()):
        raise ProposalError(f"kl {kl} and pessimism {pessimism} must be numbers >= 0")
    reference = _distribution(problem.natural if problem.reference is None else problem.reference, len(leaves))
    upper = problem.upper
    if kl > 0:
        excluded = np.where(reference > 0, np.inf, 0.0)
        _check_reference(excluded, problem.lower, leaves)
        upper = excluded if upper is None else np.minimum(upper, excluded)
    check_feasible(expansion, problem.caps, problem.lower, upper, leaves, problem.groups)
    return Program(
        surrogate=surrogate,
        task_weights=normalised(problem.task_weights, surrogate.tasks),
        reference=reference,
        kl=kl,
        pessimism=pessimism,
        feasible=feasible_set(expansion, problem.caps, problem.lower, upper, problem.groups),
    )


def _distribution(values: Array, count: int) -> Array:
    """A reference distribution [m] that sums to 1."""
    values = np.asarray(values, dtype=np.float64)
    usable = values.shape == (count,) and np.isfinite(values).all() and (values >= 0).all()
    if not usable or values.sum() <= 0:
        raise ProposalError(f"the natural or reference mixture must be {count} numbers >= 0, not all 0")
    shares: Array = values / values.sum()
    return shares


def _check_reference(upper: Array, lower: Array | None, leaves: tuple[str, ...]) -> None:
    """Refuse lower bounds on leaves that the KL reference excludes."""
    if lower is None:
        return
    excluded = [leaf for leaf, low, most in zip(leaves, lower, upper, strict=True) if low > most]
    if excluded:
        raise ProposalError(
            f"{excluded[0]} has a lower bound but weight 0 in the reference of the KL term; "
            "give it a share there, drop the bound or set kl to 0"
        )


def _finish(program: Program, surrogate: Surrogate, solution: Solution, caps: Array) -> Proposal:
    """Round the solution into the limits and compute its certificate."""
    limits, free = program.feasible, solution.free
    weights = limits.project(limits.expansion @ free)
    gap, prices = certificate(program, free) if surrogate.is_convex else (np.inf, np.zeros(len(limits.upper)))
    gap = min(gap, solution.gap)
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
        status=solution.status,
        gap=None if program.pessimism or not np.isfinite(gap) else gap,
        residual=limits.violation(weights),
    )
