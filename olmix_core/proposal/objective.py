"""The optimisation problem behind a proposal, its solvers, and the certificate of what they answer.

    minimise over r   sum_i w_i f_i(E r) + kl KL(E r || reference) + pessimism std(E r)     over a Region

For the two laws and without pessimism this is convex: a conic program for cvxpy. The certificate does not trust the
solver: a tangent to a convex objective lies below it, so the least value of a tangent over the region (a linear
program) is one that no feasible mixture can beat, and the program's dual values are what each limit costs. What is not
convex is minimised from several starts; other families than the laws see `sampled`.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cvxpy
import numpy as np
from scipy.optimize import LinearConstraint, minimize

from olmix_core.errors import ProposalError
from olmix_core.mixture import Array
from olmix_core.proposal.constraints import FeasibleSet
from olmix_core.surrogate.base import Surrogate

cp: Any = cvxpy  # what it exports is not typed

_GAP = 1e-6  # BPB by which an accepted answer may be worse than the best
_TINY = 1e-15
_ACCURACY = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}
_SOLVERS: tuple[tuple[str, dict[str, float]], ...] = (
    ("CLARABEL", _ACCURACY),
    ("CLARABEL", {**_ACCURACY, "static_regularization_constant": 1e-10}),
)
_HELD = 1e-6  # relative distance to a limit at which a leaf counts as held, in the certificate
_SMALL = 0.1  # share of kl below which a weight counts as small there
_FEASIBLE = 1e-7  # violation of a limit that a local answer may have; repaired afterwards


@dataclass(frozen=True)
class Program:
    """The objective on columns r [d], its slope, and where r may lie."""

    surrogate: Surrogate
    task_weights: Array
    reference: Array
    kl: float
    pessimism: float
    region: FeasibleSet

    def value(self, r: Array) -> float:
        return float(self.values(r[None])[0])

    def values(self, R: Array) -> Array:
        """The objective [n] at each of R [n, d]."""
        Q = R @ self.region.expansion.T
        mean = self.surrogate.objective(Q, self.task_weights)
        spread = self.surrogate.objective_stds(Q, self.task_weights) if self.pessimism else 0.0
        return np.asarray(mean + self.kl * self._divergence(Q) + self.pessimism * spread)

    def slope(self, r: Array) -> Array:
        q = self.region.expansion @ r
        slope = self.task_weights @ self.surrogate.gradient(q)
        if self.kl:
            known = self.reference > 0
            ratio = np.maximum(q[known], _TINY) / self.reference[known]
            slope[known] += self.kl * (np.log(ratio) + 1)
        if self.pessimism:
            slope = slope + self.pessimism * self.surrogate.objective_std_gradient(q, self.task_weights)[1]
        return np.asarray(slope @ self.region.expansion, dtype=np.float64)

    def certificate(self, r: Array) -> tuple[float, Array]:
        """By how much any feasible mixture can be better than r [d], and the price [n] of each upper limit.

        A tangent at any point bounds the objective from below; the better of two points is taken.
        """
        lowest, prices = max((self._tangent(point) for point in (r, self._settled(r))), key=lambda pair: pair[0])
        return max(0.0, self.value(r) - lowest), prices

    def _tangent(self, r: Array) -> tuple[float, Array]:
        """The least value over the region of the tangent at r, and how fast it falls per unit of each upper limit."""
        slope = self.slope(r)
        lowest, prices = self.region.lowest(slope)
        return self.value(r) + lowest - float(slope @ r), prices

    def _settled(self, r: Array) -> Array:
        """r with its small free columns moved to where their slope is what the others and the limits they share say.

        The slope of the KL term goes with the logarithm, so a solver's absolute error in a tiny weight is a large one
        in its slope, though worth nothing; a tangent here is much closer. At the optimum the slope of a column is a
        level that all share, plus the prices of the limits that it is held by.
        """
        if not self.kl:
            return r
        limits, slope, limited = self.region, self.slope(r), self.region.matrix @ r
        columns = limits.matrix > 0
        alone = columns.sum(axis=1) == 1
        held = (limited >= limits.upper * (1 - _HELD)) | ((limited <= limits.lower * (1 + _HELD)) & (limits.lower > 0))
        shared = limits.matrix[held & ~alone]
        free = ~columns[held & alone].any(axis=0)
        if not r[free].sum() > 0:
            return r
        design, root = np.vstack([np.ones(len(r)), shared]).T, np.sqrt(r[free])
        level_and_prices = np.linalg.lstsq(design[free] * root[:, None], slope[free] * root)[0]
        off = np.clip(design @ level_and_prices - slope, -50.0 * self.kl, 50.0 * self.kl)
        moved = r * np.exp(off / self.kl)
        return np.where(free & (r < _SMALL * self.kl), moved, r)

    def _divergence(self, Q: Array) -> Array:
        known = (self.reference > 0) & (Q > 0)
        ratio = np.where(known, Q, 1.0) / np.where(self.reference > 0, self.reference, 1.0)
        return np.asarray(np.sum(np.where(known, Q * np.log(np.where(known, ratio, 1.0)), 0.0), axis=1))


def solve_convex(program: Program) -> tuple[Array, str]:
    """The optimum without pessimism: columns r [d] and the status. Tries a second solver when the
    first falls short.
    """
    convex = replace(program, pessimism=0.0)
    tried = []
    for solver, settings in _SOLVERS:
        variable, problem = _cone_program(convex)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of accuracy, which is checked below
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
            return free, "optimal"
        tried.append(f"{solver}: {problem.status}, but up to {gap:.2g} BPB from the optimum")
    raise ProposalError(f"the solvers did not reach the optimum ({'; '.join(tried)})")


def _cone_program(program: Program) -> tuple[Any, Any]:
    """The problem in cvxpy: one exponential cone per task and leaf, one power cone per leaf where
    gamma < 1.
    """
    fitted = program.surrogate.fitted_law
    assert fitted is not None
    law, p = fitted.law, fitted.parameters
    limits = program.region
    r = cp.Variable(limits.expansion.shape[1], nonneg=True)
    q = limits.expansion @ r
    if law.gamma is None or law.gamma == 1.0:
        exponent = p.b + (p.v if law.gamma is None else -p.v) @ q
    else:
        reached = np.flatnonzero(limits.expansion.any(axis=1))  # a cone for what is 0 anyway costs accuracy
        exponent = p.b - p.v[:, reached] @ cp.power(q[reached], law.gamma, approx=False)
    objective = program.task_weights @ cp.exp(exponent)
    if program.kl:
        known = np.flatnonzero(program.reference > 0)
        # KL as entropy and a linear term: its cones then do not have the scale of tiny references
        divergence = -cp.sum(cp.entr(q[known])) - np.log(program.reference[known]) @ q[known]
        objective += program.kl * divergence
    bounded = np.isfinite(limits.upper) & limits.matrix.any(axis=1)
    raised = limits.lower > 0
    constraints = [cp.sum(r) == 1]
    if bounded.any():
        constraints.append(limits.matrix[bounded] @ r <= limits.upper[bounded])
    if raised.any():
        constraints.append(limits.matrix[raised] @ r >= limits.lower[raised])
    return r, cp.Problem(cp.Minimize(objective), constraints)


def corners(region: FeasibleSet, count: int) -> list[Array]:
    """`count` corners [d] of the region, in directions that a seed decides."""
    random = np.random.default_rng(0)
    return [region.vertex(slopes) for slopes in random.standard_normal((count, region.matrix.shape[1]))]


def solve_locally(program: Program, starts: Sequence[Array]) -> tuple[Array, str]:
    """The best of the local minima that the slope leads to from `starts`, each r [d] in the region."""
    limits = program.region
    bounded, raised = np.isfinite(limits.upper), limits.lower > 0
    constraints: list[Any] = [LinearConstraint(np.ones((1, len(starts[0]))), 1.0, 1.0)]
    if bounded.any():
        constraints.append(LinearConstraint(limits.matrix[bounded], -np.inf, limits.upper[bounded]))
    if raised.any():
        constraints.append(LinearConstraint(limits.matrix[raised], limits.lower[raised], np.inf))
    local: Any = minimize  # its overloads are too narrow for constraints in a list
    found = [
        local(
            program.value,
            start,
            jac=program.slope,
            method="SLSQP",
            bounds=[(0.0, 1.0)] * len(start),
            constraints=constraints,
            options={"maxiter": 500, "ftol": 1e-11},
        )
        for start in starts
    ]
    usable = [one for one in found if np.isfinite(one.fun) and limits.violation(limits.expansion @ one.x) < _FEASIBLE]
    if not usable:
        raise ProposalError("the local solver found no mixture; lower the pessimism")
    best = min(usable, key=lambda one: float(one.fun))
    free = np.maximum(best.x, 0.0)
    return free / free.sum(), f"local optimum, best of {len(starts)} starts"
