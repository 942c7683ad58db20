"""The feasible set of a proposal: mixtures q = E r, r on the simplex, with lower <= q <= upper on leaves and groups.

Caps (a leaf's tokens times the epochs allowed, over the tokens to train on) are always on leaves, never on the columns
of E: capping a virtual domain by the sum of its tokens would let its small leaves be repeated far too often. Bounds
are on leaves, or on the summed weight of a group of leaves (a source, say).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult, linprog

from olmix_core.errors import ProposalError
from olmix_core.mixture import Array


@dataclass(frozen=True)
class Groups:
    """Bounds on summed weights of leaves.

    Attributes:
        names: [g] names of the groups.
        members: [g, m] 1 where leaf j belongs to a group, else 0.
        lower: [g].
        upper: [g].
    """

    names: tuple[str, ...]
    members: Array
    lower: Array
    upper: Array

    @classmethod
    def none(cls, leaves: int) -> "Groups":
        """Make an empty set of groups.

        Args:
            leaves: Number of leaves, m.

        Returns:
            No groups.
        """
        return cls((), np.zeros((0, leaves)), np.zeros(0), np.zeros(0))


@dataclass(frozen=True)
class FeasibleSet:
    """Limits on mixtures of m leaves through d columns; n = m + g counts leaves and groups.

    Attributes:
        expansion: [m, d] E, with columns on the simplex.
        rows: [n, m] the identity, then the members of groups.
        lower: [n] lower limits of rows q.
        upper: [n] upper limits of rows q; np.inf where there is none.
    """

    expansion: Array
    rows: Array
    lower: Array
    upper: Array

    @cached_property
    def matrix(self) -> Array:
        """[n, d] the limited sums as a function of the columns r."""
        return np.asarray(self.rows @ self.expansion)

    @property
    def n_leaves(self) -> int:
        """The number of leaves, m."""
        return len(self.expansion)

    def linear_minimum(self, slopes: Array) -> tuple[float, Array]:
        """Minimise a linear function.

        Args:
            slopes: [d].

        Returns:
            The least slopes . r, and its fall per unit of each upper limit [n] (>= 0).

        Raises:
            ProposalError: The linear program failed.
        """
        solution = self._linear_program(slopes)
        prices = np.zeros(len(self.upper))
        bounded = np.flatnonzero(np.isfinite(self.upper))
        prices[bounded] = (
            np.maximum(0.0, -np.asarray(solution.ineqlin.marginals)[: len(bounded)]) / self._reach[bounded]
        )
        return float(solution.fun), prices

    def linear_minimiser(self, slopes: Array) -> Array:
        """Find where a linear function is least.

        Args:
            slopes: [d].

        Returns:
            Columns r [d].

        Raises:
            ProposalError: The linear program failed.
        """
        return np.asarray(self._linear_program(slopes).x, dtype=np.float64)

    def project(self, q: Array) -> Array:
        """Correct a solver's rounding: keep every bound on leaves, and sum to 1 to machine accuracy.

        Args:
            q: [m] a nearly feasible mixture.

        Returns:
            [m] weights.
        """
        lower, upper = self.lower[: self.n_leaves], self.upper[: self.n_leaves]
        q = np.clip(q, lower, upper)
        for _ in range(3):
            missing = 1.0 - q.sum()
            room = np.minimum(upper, 1.0) - q if missing > 0 else q - lower
            if missing == 0 or room.sum() <= 0:
                break
            q = np.clip(q + missing * room / room.sum(), lower, upper)
        return q

    def violation(self, q: Array) -> float:
        """Measure how far a mixture is from feasible.

        Args:
            q: [m] weights.

        Returns:
            The largest violation of a bound or of the sum.
        """
        limited = self.rows @ q
        parts = (limited - self.upper, self.lower - limited, np.atleast_1d(abs(q.sum() - 1)))
        return float(max(0.0, *(part.max() for part in parts)))

    @cached_property
    def _reach(self) -> Array:
        """[n] the most of each row that a column gives; 1 where none gives any."""
        most = self.matrix.max(axis=1)
        return np.where(most > 0, most, 1.0)

    def _linear_program(self, slopes: Array) -> OptimizeResult:
        """Minimise a linear function.

        Each limit is stated on the weight of the column that gives most of it: solvers have absolute tolerances, and a
        limit of 1e-10 on a leaf that is 1e-10 of a column is one on all of that column.
        """
        bounded = np.isfinite(self.upper)
        raised = self.lower > 0
        reach = self._reach
        matrix = self.matrix / reach[:, None]
        solution = linear_program(
            slopes,
            A_ub=np.vstack([matrix[bounded], -matrix[raised]]),
            b_ub=np.concatenate([self.upper[bounded] / reach[bounded], -self.lower[raised] / reach[raised]]),
            A_eq=np.ones((1, len(slopes))),
            b_eq=[1.0],
        )
        if not solution.success:
            raise ProposalError(f"the linear program over feasible mixtures failed: {solution.message}")
        return solution


def linear_program(slopes: Array, **limits: Any) -> OptimizeResult:
    """Minimise a linear function of variables >= 0, with scipy.

    Args:
        slopes: [d].
        limits: Arguments of `scipy.optimize.linprog`.

    Returns:
        The result, whose field success may be False.
    """
    minimise: Any = linprog  # its overloads are too narrow for options
    solution: OptimizeResult = minimise(slopes, bounds=(0, None), **limits)
    if not solution.success:  # presolve takes limits that leave one mixture for contradictions, by rounding
        solution = minimise(slopes, bounds=(0, None), options={"presolve": False}, **limits)
    return solution


def feasible_set(
    expansion: Array, caps: Array, lower: Array | None, upper: Array | None, groups: Groups | None = None
) -> FeasibleSet:
    """Combine caps and bounds: the upper limit of a leaf is the smaller of its cap and its upper bound.

    Args:
        expansion: [m, d] E.
        caps: [m] highest weights; np.inf where there is none.
        lower: [m] lower bounds; None for none.
        upper: [m] upper bounds; None for none.
        groups: Bounds on groups; None for none.

    Returns:
        The feasible set, which may be empty.

    Raises:
        ProposalError: A shape or a value is invalid.
    """
    m = len(expansion)
    caps = np.asarray(caps, dtype=np.float64)
    lower = np.zeros(m) if lower is None else np.asarray(lower, dtype=np.float64)
    upper = np.full(m, np.inf) if upper is None else np.asarray(upper, dtype=np.float64)
    groups = groups or Groups.none(m)
    if expansion.ndim != 2 or not expansion.size:
        raise ProposalError(f"the expansion has shape {expansion.shape}; expected [leaves, columns]")
    for name, values in (("caps", caps), ("lower", lower), ("upper", upper)):
        if values.shape != (m,) or np.isnan(values).any() or (values < 0).any():
            raise ProposalError(f"{name} must be {m} numbers >= 0, one per leaf")
    if groups.members.shape != (len(groups.names), m) or not np.isin(groups.members, (0.0, 1.0)).all():
        raise ProposalError(f"group members must be 0 or 1, a row of {m} for each of {len(groups.names)} groups")
    if not np.isfinite(expansion).all() or (expansion < 0).any():
        raise ProposalError("the expansion has entries that are negative or not finite")
    if np.abs(expansion.sum(axis=0) - 1).max() > 1e-9:
        raise ProposalError("a column of the expansion does not sum to 1")
    return FeasibleSet(
        expansion,
        np.vstack([np.eye(m), groups.members]),
        np.concatenate([lower, groups.lower]),
        np.concatenate([np.minimum(caps, upper), groups.upper]),
    )
