"""Whether any mixture meets the constraints, and if none does, which limits are to blame."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmix_core.errors import ProposalError
from olmix_core.mixture import Array
from olmix_core.proposal.constraints import FeasibleSet, Groups, feasible_set, linear_program

_SLACK = 1e-9  # how far linear programs may be off
_NAMED = 5  # leaves named in a message


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
        groups: Bounds on groups; None for none.

    Raises:
        ProposalError: None does; the message names the limits and says what to change.
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
    most: Any = linear_program(
        -np.ones(limits.matrix.shape[1]),
        A_ub=limits.matrix[bounded],
        b_ub=limits.upper[bounded],
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
    least: Any = linear_program(
        np.concatenate([np.zeros(d), np.ones(n)]),
        A_ub=np.vstack([upper_rows, lower_rows]),
        b_ub=np.concatenate([limits.upper[bounded], -limits.lower]),
        A_eq=np.concatenate([np.ones(d), np.zeros(n)])[None],
        b_eq=[1.0],
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
