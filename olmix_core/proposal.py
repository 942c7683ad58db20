"""The proposal: the mixture with the least predicted BPB that keeps close to a reference and within
its caps.

    minimise over r   sum_i w_i f_i(E r) + kl KL(E r || reference)
    subject to        r on the simplex,  lower <= E r <= min(cap, upper) on every leaf

(Olmix, arXiv 2602.12237: w_i = 1 / T, kl = 0.05, reference = natural, cap = k N_j / R.) Both laws
are convex, so this is a conic program and its optimum the only one. What the solver says is not
taken on trust: the proposal carries its own certificate, the Frank-Wolfe gap F'(r) . r - min_s
F'(r) . s over the feasible s, which for a convex objective bounds how much any feasible mixture
could be better.

With `pessimism` z the objective gains z times the standard deviation of the predicted mean, which
is not convex: several starts, a local solver, and a gap that then only says how stationary the
answer is.
"""

from dataclasses import dataclass, replace
from typing import Any

import cvxpy
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import LinearConstraint, minimize

from olmix_core.errors import ProposalError
from olmix_core.feasible import Region, check_feasible, region
from olmix_core.fitted import Surrogate, normalised

__all__ = ["Proposal", "check_feasible", "propose"]

Array = NDArray[np.float64]

cp: Any = cvxpy  # what it exports is not typed

_GAP = 1e-6  # BPB by which an accepted proposal may be worse than the best
_TINY = 1e-15
_SOLVERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("CLARABEL", {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}),
    ("SCS", {"eps_abs": 1e-9, "eps_rel": 1e-9, "max_iters": 200_000}),
)
_AT_CAP = 1e-7  # relative distance to its cap at which a leaf counts as held by it
_STARTS = 4  # of the local solver


@dataclass(frozen=True)
class Proposal:
    """A mixture and how it came about.

    weights [m] sum to 1 and keep every bound; free [d] is the mixture of columns behind it.
    objective is the weighted mean BPB and predicted [T] the BPB per task, both at the weights.
    shadow_prices [m] >= 0: BPB gained per unit of weight by which the cap of a leaf is raised.
    at_cap [m]: the leaf is held by its cap. gap: BPB (penalty included) by which the best feasible
    mixture could be better, at most. residual: the largest violation of any constraint.
    """

    weights: Array
    free: Array
    objective: float
    predicted: Array
    shadow_prices: Array
    at_cap: NDArray[np.bool_]
    status: str
    gap: float
    residual: float


@dataclass(frozen=True)
class _Program:
    """The objective on columns r [d], its slope, and where r may lie."""

    surrogate: Surrogate
    task_weights: Array
    reference: Array
    kl: float
    pessimism: float
    region: Region

    def value(self, r: Array) -> float:
        q = self.region.expansion @ r
        mean = self.surrogate.objective(q[None], self.task_weights)[0]
        return float(mean + self.kl * self._divergence(q) + self.pessimism * self._std(q)[0])

    def slope(self, r: Array) -> Array:
        q = self.region.expansion @ r
        slope = self.task_weights @ self.surrogate.gradient(q)
        if self.kl:
            known = self.reference > 0
            ratio = np.maximum(q[known], _TINY) / self.reference[known]
            slope[known] += self.kl * (np.log(ratio) + 1)
        if self.pessimism:
            slope = slope + self.pessimism * self._std(q)[1]
        return np.asarray(slope @ self.region.expansion, dtype=np.float64)

    def certificate(self, r: Array) -> tuple[float, Array]:
        """How much better any feasible mixture can be, by convexity, and the price [m] of each
        upper limit.
        """
        slope = self.slope(r)
        lowest, prices = self.region.lowest(slope)
        return max(0.0, float(slope @ r) - lowest), prices

    def _divergence(self, q: Array) -> float:
        known = (self.reference > 0) & (q > 0)
        return float(np.sum(q[known] * np.log(q[known] / self.reference[known])))

    def _std(self, q: Array) -> tuple[float, Array]:
        if not self.pessimism:
            return 0.0, np.zeros_like(q)
        return self.surrogate.objective_std_gradient(q, self.task_weights)


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
    pessimism: float = 0.0,
) -> Proposal:
    """The best mixture over the columns of `expansion` [m, d] (columns on the simplex, q = E r).

    natural [m]: token shares of the leaves, the KL reference unless `reference` [m] is given; a
    leaf whose reference is 0 gets no weight while kl > 0. caps, lower, upper [m]: limits on leaf
    weights (caps may be np.inf). task_weights [T] are normalised; None means equal. pessimism:
    standard deviations of the predicted mean that are added to it. Raises ProposalError when the
    constraints contradict each other or no solver reaches the optimum within 1e-6 BPB.
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
    check_feasible(expansion, caps, lower, upper, leaves)
    program = _Program(
        surrogate=surrogate,
        task_weights=normalised(task_weights, surrogate.tasks),
        reference=reference,
        kl=kl,
        pessimism=pessimism,
        region=region(expansion, caps, lower, upper),
    )
    free, status = _solve_convex(program)
    if pessimism:
        free, status = _solve_locally(program, free)
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


def _solve_convex(program: _Program) -> tuple[Array, str]:
    """The optimum without pessimism: columns r [d] and the status. Tries a second solver when the
    first falls short.
    """
    convex = replace(program, pessimism=0.0)
    tried = []
    for solver, settings in _SOLVERS:
        variable, problem = _cone_program(convex)
        try:
            problem.solve(solver=solver, **settings)
        except cp.SolverError as error:
            tried.append(f"{solver}: {error}")
            continue
        if variable.value is None:
            tried.append(f"{solver}: {problem.status}")
            continue
        free = np.maximum(variable.value, 0.0)
        free = free / free.sum()
        gap, _ = convex.certificate(free)
        if gap <= _GAP * max(1.0, abs(convex.value(free))):
            return free, str(problem.status)
        tried.append(f"{solver}: {problem.status}, but up to {gap:.2g} BPB from the optimum")
    raise ProposalError(f"the solvers did not reach the optimum ({'; '.join(tried)})")


def _cone_program(program: _Program) -> tuple[Any, Any]:
    """The problem in cvxpy: one exponential cone per task and leaf, one power cone per leaf where
    gamma < 1.
    """
    law, p = program.surrogate.law, program.surrogate.parameters
    limits = program.region
    r = cp.Variable(limits.expansion.shape[1], nonneg=True)
    q = limits.expansion @ r
    if law.gamma is None or law.gamma == 1.0:
        exponent = p.b + (p.v if law.gamma is None else -p.v) @ q
    else:
        exponent = p.b - p.v @ cp.power(q, law.gamma, approx=False)
    objective = program.task_weights @ cp.exp(exponent)
    if program.kl:
        known = np.flatnonzero(program.reference > 0)
        objective += program.kl * cp.sum(cp.kl_div(q[known], program.reference[known]))
    bounded, raised = np.isfinite(limits.upper), limits.lower > 0
    constraints = [cp.sum(r) == 1]
    if bounded.any():
        constraints.append(q[bounded] <= limits.upper[bounded])
    if raised.any():
        constraints.append(q[raised] >= limits.lower[raised])
    return r, cp.Problem(cp.Minimize(objective), constraints)


def _solve_locally(program: _Program, convex: Array) -> tuple[Array, str]:
    """The best of several local minima, from the convex optimum and from mixtures of it with
    corners of the region.
    """
    limits = program.region
    bounded, raised = np.isfinite(limits.upper), limits.lower > 0
    constraints: list[Any] = [LinearConstraint(np.ones((1, len(convex))), 1.0, 1.0)]
    if bounded.any():
        constraints.append(LinearConstraint(limits.expansion[bounded], -np.inf, limits.upper[bounded]))
    if raised.any():
        constraints.append(LinearConstraint(limits.expansion[raised], limits.lower[raised], np.inf))
    random = np.random.default_rng(0)
    corners = [limits.vertex(random.standard_normal(len(convex))) for _ in range(_STARTS - 1)]
    starts = [convex, *((convex + corner) / 2 for corner in corners)]
    local: Any = minimize  # its overloads are too narrow for constraints in a list
    found = [
        local(
            program.value,
            start,
            jac=program.slope,
            method="SLSQP",
            bounds=[(0.0, 1.0)] * len(convex),
            constraints=constraints,
            options={"maxiter": 500, "ftol": 1e-11},
        )
        for start in starts
    ]
    usable = [one for one in found if np.isfinite(one.fun)]
    if not usable:
        raise ProposalError("the local solver found no mixture; lower the pessimism")
    best = min(usable, key=lambda one: float(one.fun))
    free = np.maximum(best.x, 0.0)
    return free / free.sum(), f"local optimum, best of {len(starts)} starts"


def _finish(program: _Program, free: Array, status: str, caps: Array) -> Proposal:
    """Check the answer and put its certificate together."""
    limits, surrogate = program.region, program.surrogate
    weights = limits.repaired(limits.expansion @ free)
    gap, prices = program.certificate(free)
    by_cap = caps <= limits.upper
    predicted = surrogate.predict(weights[None])[0]
    return Proposal(
        weights=weights,
        free=free,
        objective=float(predicted @ program.task_weights),
        predicted=predicted,
        shadow_prices=np.where(by_cap, prices, 0.0),
        at_cap=by_cap & (weights >= caps * (1 - _AT_CAP)) & (caps > 0),
        status=status,
        gap=gap,
        residual=limits.violation(weights),
    )
