"""The feasible set of a proposal: mixtures q = E r, r on the simplex, with lower <= q <= upper on leaves and groups.

Caps (a leaf's tokens times the epochs allowed, over the tokens to train on) are always on leaves, never on the columns
of E: capping a virtual domain by the sum of its tokens would let its small leaves be repeated far too often. Bounds
are on leaves, or on the summed weight of a group of leaves (a source, say).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, linprog

from olmix_core.errors import ProposalError
from olmix_core.mixture import Array

_SLACK = 1e-9  # how far linear programs may be off
_NAMED = 5  # leaves named in a message


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
            leaves: number of leaves, m.

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
            ProposalError: the linear program failed.
        """
        solution = self._linear_program(slopes)
        prices = np.zeros(len(self.upper))
        bounded = np.flatnonzero(np.isfinite(self.upper))
        prices[bounded] = np.maximum(0.0, -np.asarray(solution.ineqlin.marginals)[: len(bounded)])
        return float(solution.fun), prices

    def linear_minimiser(self, slopes: Array) -> Array:
        """Find where a linear function is least.

        Args:
            slopes: [d].

        Returns:
            Columns r [d].

        Raises:
            ProposalError: the linear program failed.
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

    def _linear_program(self, slopes: Array) -> OptimizeResult:
        bounded = np.isfinite(self.upper)
        raised = self.lower > 0
        solution = linprog(
            slopes,
            A_ub=np.vstack([self.matrix[bounded], -self.matrix[raised]]),
            b_ub=np.concatenate([self.upper[bounded], -self.lower[raised]]),
            A_eq=np.ones((1, len(slopes))),
            b_eq=[1.0],
            bounds=(0, None),
        )
        if not solution.success:
            raise ProposalError(f"the linear program over feasible mixtures failed: {solution.message}")
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
        groups: bounds on groups; None for none.

    Returns:
        The feasible set, which may be empty.

    Raises:
        ProposalError: a shape or a value is invalid.
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


def check_feasible(
    expansion: Array,
    caps: Array,
    lower: Array | None,
    upper: Array | None,
    leaves: Sequence[str],
    groups: Groups | None = None,
) -> None:
    """Check that some mixture meets the constraints.

    Args:
        expansion: [m, d] E.
        caps: [m] highest weights; np.inf where there is none.
        lower: [m] lower bounds; None for none.
        upper: [m] upper bounds; None for none.
        leaves: [m] names for messages.
        groups: bounds on groups; None for none.

    Raises:
        ProposalError: none does; the message names the limits and says what to change.
    """
    limits = feasible_set(expansion, caps, lower, upper, groups)
    names = [*leaves, *(groups.names if groups else ())]
    _check_each(limits, names)
    _check_caps(limits, names)
    _check_bounds(limits, names)


def _check_each(limits: FeasibleSet, names: Sequence[str]) -> None:
    """Check each leaf and group by itself: its lower bound against its upper limit and the reach of the columns."""
    crossed = _indices(limits.lower > limits.upper + _SLACK)
    if crossed:
        each = [f"{names[j]} (at least {limits.lower[j]:.4g}, at most {limits.upper[j]:.4g})" for j in crossed]
        raise ProposalError(
            f"no mixture is possible: lower bounds lie above the cap or upper bound of {_some(each)}; "
            "lower those bounds, allow more epochs or train on fewer tokens"
        )
    reach = limits.matrix.max(axis=1)
    short = _indices(limits.lower > reach + _SLACK)
    if short:
        each = [f"{names[j]} (at least {limits.lower[j]:.4g}, reachable {reach[j]:.4g})" for j in short]
        raise ProposalError(
            f"no mixture is possible: frozen ratios keep leaves below their lower bounds: {_some(each)}; "
            "lower those bounds or free the ratios"
        )
    lowest = limits.lower[: limits.n_leaves]
    if lowest.sum() > 1 + _SLACK:
        raise ProposalError(
            f"no mixture is possible: the lower bounds sum to {lowest.sum():.4g}, more than 1; "
            f"the largest are {_some(_largest(lowest, names))}"
        )


def _check_caps(limits: FeasibleSet, names: Sequence[str]) -> None:
    """Check that caps and upper bounds together let the weights reach 1."""
    bounded = _indices(np.isfinite(limits.upper))
    if (limits.matrix[bounded].max(axis=0, initial=0.0) <= 0).any():
        return  # a column without any cap can take all of the weight
    most: Any = linprog(
        -np.ones(limits.matrix.shape[1]),
        A_ub=limits.matrix[bounded],
        b_ub=limits.upper[bounded],
        bounds=(0, None),
    )
    if not most.success:
        return  # bounds decide, see below
    total = -float(most.fun)
    if total >= 1 - _SLACK:
        return
    binding = -np.asarray(most.ineqlin.marginals)
    named = [
        f"{names[j]} ({limits.upper[j]:.4g})"
        for j, price in sorted(zip(bounded, binding, strict=True), key=lambda pair: -pair[1])
        if price > 1e-9
    ]
    raise ProposalError(
        f"no mixture is possible: caps and upper bounds let the weights sum to {total:.4g} at most, not 1. "
        f"What limits them: {_some(named)}. Raise what is a bound; or allow {1 / total:.4g} times the epochs, train on "
        f"{total:.4g} of the tokens, add data, or free frozen ratios"
    )


def _check_bounds(limits: FeasibleSet, names: Sequence[str]) -> None:
    """Check everything together by the mixture that misses lower bounds least."""
    n, d = limits.matrix.shape
    bounded = np.flatnonzero(np.isfinite(limits.upper))
    upper_rows = np.hstack([limits.matrix[bounded], np.zeros((len(bounded), n))])
    lower_rows = np.hstack([-limits.matrix, -np.eye(n)])
    least: Any = linprog(
        np.concatenate([np.zeros(d), np.ones(n)]),
        A_ub=np.vstack([upper_rows, lower_rows]),
        b_ub=np.concatenate([limits.upper[bounded], -limits.lower]),
        A_eq=np.concatenate([np.ones(d), np.zeros(n)])[None],
        b_eq=[1.0],
        bounds=(0, None),
    )
    if least.success and least.fun <= n * _SLACK:
        return
    missing = np.asarray(least.x[d:]) if least.success else limits.lower
    raise ProposalError(
        "no mixture is possible: caps, bounds and frozen ratios contradict each other. Even the nearest mixture "
        f"misses lower bounds by {_some(_largest(missing, names))}; lower these or raise what caps the others"
    )


def _indices(mask: NDArray[np.bool_]) -> list[int]:
    return [int(j) for j in np.flatnonzero(mask)]


def _largest(values: Array, names: Sequence[str]) -> list[str]:
    order = [int(j) for j in np.argsort(-values, kind="stable") if values[j] > _SLACK]
    return [f"{names[j]} ({values[j]:.4g})" for j in order]


def _some(named: Sequence[str]) -> str:
    more = len(named) - _NAMED
    return ", ".join(named[:_NAMED]) + (f" and {more} more" if more > 0 else "")
