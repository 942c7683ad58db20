"""A primal-dual interior-point method for the convex proposal, from its exact derivatives.

    minimise F(r)   s.t.  sum r = 1,  G r <= h,  r >= 0

Each step is Newton's on the perturbed optimality conditions (Nocedal and Wright 2006, section 19.2)::

    F'(r) + G' z + y = x,   sum r = 1,   G r + s = h,   s z = mu,   r x = mu

with multipliers x, y, z and mu falling to 0. Unlike a conic program, it has no error in the cones of a weight: weights
of 1e-13 beside weights near 1 keep their relative accuracy, and with it their slopes, on which the certificate rests.
"""

from dataclasses import dataclass

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from olmix_core.mixture import Array
from olmix_core.proposal.objective import Program

_STEPS = 200
_START = 1e-2  # first mu, in BPB
_DONE = 1e-10  # BPB of complementarity, and error of the slopes, at which the method ends
_LOWEST = 1e-14  # last mu; below it weights would fall without end
_BACK = 0.99  # share of the way to the boundary that a step goes
_LOOSE = 1e-9  # relative widening of limits, so that limits which leave one mixture have an interior
_STEEPEST = 50.0  # the exponent at which a law is cut off
_REGULAR = 1e-14  # added to the scaled diagonal of the Newton matrix
_CENTRING = (0.01, 0.8)  # range of the factor by which a step lowers mu


@dataclass(frozen=True)
class _Smooth:
    """The objective over the d columns that may have weight.

    Attributes:
        program: The objective.
        leaves: Indices of the m leaves that these columns reach.
        expansion: [m, d] E of these leaves and columns.
    """

    program: Program
    leaves: NDArray[np.intp]
    expansion: Array

    def derivatives(self, r: Array) -> tuple[Array, Array]:
        """The gradient [d] and the Hessian [d, d] of the objective at r > 0."""
        fitted = self.program.surrogate.fitted_law
        assert fitted is not None
        law, parameters, kl = fitted.law, fitted.parameters, self.program.kl
        q, v = self.expansion @ r, parameters.v[:, self.leaves]
        power = np.atleast_1d(law.gamma or 1.0)[:, None]
        sign = 1.0 if law.gamma is None else -1.0
        exponent = sign * np.sum(q**power * v, axis=1)
        level = self.program.task_weights * np.exp(np.minimum(parameters.b + exponent, _STEEPEST))
        first = sign * power * v * q ** (power - 1)
        gradient = level @ first
        diagonal = level @ (first * (power - 1) / q)
        if kl:
            gradient = gradient + kl * (np.log(q / self.program.reference[self.leaves]) + 1)
            diagonal = diagonal + kl / q
        columns = first @ self.expansion
        hessian = (columns.T * level) @ columns + (self.expansion.T * diagonal) @ self.expansion
        return np.asarray(gradient @ self.expansion, dtype=np.float64), hessian


@dataclass(frozen=True)
class _Point:
    """An iterate: weights r [d], slacks s [n] of G r <= h, and the multipliers x [d], z [n] and y."""

    r: Array
    s: Array
    x: Array
    z: Array
    y: float

    @property
    def mu(self) -> float:
        """The mean product of a slack and its multiplier."""
        return float((self.r @ self.x + self.s @ self.z) / (len(self.r) + len(self.s)))

    def towards(self, step: "_Point", share: float) -> "_Point":
        """Go a share of a step."""
        return _Point(
            self.r + share * step.r,
            self.s + share * step.s,
            self.x + share * step.x,
            self.z + share * step.z,
            self.y + share * step.y,
        )

    def room(self, step: "_Point") -> float:
        """The share of a step, at most 1, at which the first slack or multiplier reaches 0."""
        now = np.concatenate([self.r, self.s, self.x, self.z])
        change = np.concatenate([step.r, step.s, step.x, step.z])
        falling = change < 0
        return float(min(1.0, (-now[falling] / change[falling]).min(initial=1.0)))


def refine(program: Program) -> Array:
    """Find the optimum of a convex program by an interior-point method.

    Args:
        program: The objective, without pessimism, and its feasible set; the surrogate has a law.

    Returns:
        Columns r [d], which sum to 1; those nearest to the optimum where the method gets stuck.
    """
    limits = program.feasible
    usable: NDArray[np.bool_] = ~np.any(limits.matrix[limits.upper <= 0] > 0, axis=0)
    leaves = np.flatnonzero(limits.expansion[:, usable].any(axis=1))
    smooth = _Smooth(program, leaves, limits.expansion[np.ix_(leaves, usable)])
    A = limits.matrix[:, usable]
    upper = A.max(axis=1) > limits.upper
    lower = limits.lower > 0
    G = np.vstack([A[upper], -A[lower]])
    h = np.concatenate([limits.upper[upper] * (1 + _LOOSE), -limits.lower[lower] * (1 - _LOOSE)])
    r = np.zeros(len(usable))
    r[usable] = _follow(smooth, G, h)
    return np.asarray(r / r.sum(), dtype=np.float64)


def _follow(smooth: _Smooth, G: Array, h: Array) -> Array:
    """Follow the path of falling mu; the weights [d] of the iterate that misses the conditions least."""
    point = _start(smooth, G, h)
    best, least = point.r, np.inf
    with np.errstate(all="ignore"):  # an overflow ends the path
        for _ in range(_STEPS):
            gradient, hessian = smooth.derivatives(point.r)
            off = gradient + point.z @ G + point.y - point.x
            outside = G @ point.r + point.s - h
            missed = max(point.mu * (len(h) + len(off)), np.abs(off).max(), np.abs(outside).max(initial=0.0))
            if missed < least:
                best, least = point.r, missed
            if least < _DONE:
                break
            try:
                point = _step(point, hessian, G, (off, outside))
            except (LinAlgError, ValueError):  # singular, or not finite
                break
    return best


def _start(smooth: _Smooth, G: Array, h: Array) -> _Point:
    """A first point, with weights in proportion to the room that the limits leave each column."""
    room = np.where(G > 0, h[:, None] / np.where(G > 0, G, 1.0), 1.0).min(axis=0, initial=1.0)
    r = room / room.sum()
    s = np.maximum(h - G @ r, 0.1 * np.abs(h))
    gradient, _ = smooth.derivatives(r)
    return _Point(r, s, _START / r, _START / s, -float(np.median(gradient)))


def _step(point: _Point, hessian: Array, G: Array, residuals: tuple[Array, Array]) -> _Point:
    """One Newton step, towards a mu that a step towards 0 shows to be in reach."""
    off, outside = residuals
    r, s, x, z = point.r, point.s, point.x, point.z
    matrix = hessian + np.diag(x / r) + (G.T * (z / s)) @ G
    scale = 1 / np.sqrt(np.diag(matrix))
    scaled = matrix * scale[:, None] * scale
    factor = cho_factor(scaled + _REGULAR * np.eye(len(r)))

    def solve(right: Array) -> Array:
        first = cho_solve(factor, right * scale)
        return np.asarray(scale * (first + cho_solve(factor, right * scale - scaled @ first)))

    ones = solve(np.ones(len(r)))

    def direction(mu: float) -> _Point:
        push = mu / s - z + (z / s) * outside
        free = solve(-off - push @ G + mu / r - x)
        dy = (free.sum() + r.sum() - 1) / ones.sum()
        dr = free - dy * ones
        ds = -outside - G @ dr
        return _Point(dr, ds, (mu - x * dr) / r - x, (mu - z * ds) / s - z, float(dy))

    straight = direction(0.0)
    reached = point.towards(straight, point.room(straight))
    centring = float(np.clip((reached.mu / point.mu) ** 3, *_CENTRING))
    step = direction(max(centring * point.mu, _LOWEST))
    return point.towards(step, _BACK * point.room(step) if point.room(step) < 1 else 1.0)
