"""Batched Levenberg-Marquardt for many regressions y = c + exp(b + phi . v) on one design.

Minimises for each problem t, all problems at once::

    L_t = sum_k w_kt huber(f_t(k) - y_kt) / sum_k w_kt  +  ridge_t / 2 v_t' P v_t

over c >= floor, and v >= 0 where required, with huber(r) = r^2 / 2 for |r| <= delta and delta (|r| - delta / 2) beyond.
A step solves (H + mu D) s = -g on the parameters that are free (not held at a bound by their gradient), is projected
onto the bounds and taken only if L falls. H starts as Gauss-Newton with the Huber weights of iteratively reweighted
least squares, which is steady far from the optimum, and becomes the exact second derivative, which is quick near it.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from olmix_core.mixture import Array

Mask = NDArray[np.bool_]

_FLOOR = 1e-6  # lower bound of c, which keeps c > 0
_STEEPEST = 50.0
_MU_START, _MU_LEAST, _MU_MOST = 1e-3, 1e-9, 1e12
_MOST_BYTES = 1 << 28  # of outer products kept in memory
_STEADY = 12  # iterations before the exact second derivative is used


@dataclass(frozen=True)
class Problems:
    """B regressions on one design.

    Attributes:
        design: [K, p] phi of each run.
        Y: [K, B] BPB.
        weights: [K, B] >= 0; 0 where Y is unknown.
        ridge: [B].
        delta: BPB beyond which the Huber loss is linear.
        nonnegative: V >= 0, except for the last `signed` columns.
        precision: [p, p] P; None for the identity.
        signed: Number of columns of any sign.
    """

    design: Array
    Y: Array
    weights: Array
    ridge: Array
    delta: float
    nonnegative: bool
    precision: Array | None = None
    signed: int = 0

    @property
    def penalty_matrix(self) -> Array:
        """P [p, p]."""
        return np.eye(self.design.shape[1]) if self.precision is None else self.precision

    @property
    def bounded(self) -> slice:
        """Which of the parameters (c, b, v) are v that must be >= 0."""
        return slice(2, self.design.shape[1] + 2 - self.signed if self.nonnegative else 2)

    def penalty(self, theta: Array) -> Array:
        """Compute the penalty, ridge / 2 v' P v.

        Args:
            theta: [B, p + 2] parameters (c, b, v).

        Returns:
            [B].
        """
        v = theta[:, 2:]
        return np.asarray(0.5 * self.ridge * np.sum((v @ self.penalty_matrix) * v, axis=1), dtype=np.float64)

    def subset(self, columns: NDArray[np.intp]) -> "Problems":
        """Select some of the problems.

        Args:
            columns: Their positions.

        Returns:
            These problems.
        """
        return replace(self, Y=self.Y[:, columns], weights=self.weights[:, columns], ridge=self.ridge[columns])


@dataclass(frozen=True)
class Solution:
    """Parameters reached.

    Attributes:
        theta: [B, p + 2] (c, b, v).
        loss: [B] penalty included.
        converged: [B].
        iterations: Iterations used.
    """

    theta: Array
    loss: Array
    converged: Mask
    iterations: int


def huber(residual: Array, delta: float) -> Array:
    """Compute the Huber loss (Huber 1964).

    Args:
        residual: Residuals of any shape.
        delta: Where the loss becomes linear.

    Returns:
        Losses of that shape.
    """
    size = np.abs(residual)
    return np.where(size <= delta, 0.5 * residual**2, delta * (size - 0.5 * delta))


def minimise(problems: Problems, start: Array, *, iterations: int = 400, tol: float = 1e-11) -> Solution:
    """Minimise every problem from its start.

    A problem has converged when no single parameter, moved alone by a Newton step, would lower its loss by more than
    the fraction `tol`.

    Args:
        problems: B regressions.
        start: [B, p + 2] parameters.
        iterations: Iterations, at most.
        tol: Relative tolerance of the loss.

    Returns:
        The parameters reached; problems that have not converged are marked.
    """
    theta, outer = _project(start, problems.bounded), Outer(problems.design)
    loss = _loss(problems, theta)
    converged = np.zeros(len(theta), dtype=bool)
    mu = np.full(len(theta), _MU_START)
    exact = np.zeros(len(theta), dtype=bool)
    stalled = np.zeros(len(theta), dtype=bool)
    count = 0
    for count in range(1, iterations + 1):
        active = np.flatnonzero(~(converged | stalled))
        if not len(active):
            break
        part = problems.subset(active)
        exact[active] |= count > _STEADY
        gradient, hessian, scale = _derivatives(part, theta[active], exact[active], outer)
        held = _held(theta[active], gradient, problems.bounded)
        gradient = np.where(held, 0.0, gradient)
        gain = np.max(gradient**2 / scale, axis=1)
        done = gain <= tol * (loss[active] + 1e-12)
        converged[active[done]] = True
        step = _step(hessian, gradient, scale, held, mu[active])
        trial = _project(theta[active] + step, problems.bounded)
        trial_loss = _loss(part, trial)
        better = (trial_loss < loss[active]) & ~done
        theta[active[better]] = trial[better]
        loss[active[better]] = trial_loss[better]
        mu[active] = np.where(better, mu[active] / 5, mu[active] * 4).clip(_MU_LEAST, None)
        stalled[active] = mu[active] > _MU_MOST
    return Solution(theta, loss, converged, count)


def _project(theta: Array, bounded: slice) -> Array:
    """The nearest parameters within the bounds."""
    theta = theta.copy()
    theta[:, 0] = np.maximum(theta[:, 0], _FLOOR)
    theta[:, bounded] = np.maximum(theta[:, bounded], 0.0)
    return theta


def _held(theta: Array, gradient: Array, bounded: slice) -> Mask:
    """Which parameters [B, p + 2] sit at a bound that the gradient pushes them against."""
    held = np.zeros(theta.shape, dtype=bool)
    held[:, 0] = (theta[:, 0] <= _FLOOR) & (gradient[:, 0] > 0)
    held[:, bounded] = (theta[:, bounded] <= 0) & (gradient[:, bounded] > 0)
    return held


def _decay(problems: Problems, theta: Array) -> Array:
    """exp(b + phi . v) [K, B]."""
    return np.exp(np.minimum(problems.design @ theta[:, 2:].T + theta[:, 1], _STEEPEST))


def _loss(problems: Problems, theta: Array) -> Array:
    """L [B]."""
    residual = theta[:, 0] + _decay(problems, theta) - problems.Y
    data = np.sum(problems.weights * huber(residual, problems.delta), axis=0)
    return np.asarray(data / problems.weights.sum(axis=0) + problems.penalty(theta), dtype=np.float64)


class Outer:
    """Weighted sums of the outer products of the rows of a design [K, p], of which all Hessians consist.

    The products are the same for every problem and every step, so they are computed once, and one large product of
    matrices gives the sums of all problems. Where they would take too much memory, each problem computes its own.
    """

    def __init__(self, design: Array) -> None:
        self._design = design
        count, size = design.shape
        fits = 8 * count * size**2 <= _MOST_BYTES
        self._products = (design[:, :, None] * design[:, None, :]).reshape(count, -1) if fits else None

    def sums(self, weights: Array) -> Array:
        """Compute sum_k weights[k, b] design[k] design[k]'.

        Args:
            weights: [K, B].

        Returns:
            [B, p, p].
        """
        if self._products is None:
            return np.asarray((self._design.T[None] * weights.T[:, None, :]) @ self._design, dtype=np.float64)
        size = self._design.shape[1]
        return (weights.T @ self._products).reshape(-1, size, size)


def _derivatives(problems: Problems, theta: Array, exact: Mask, outer: Outer) -> tuple[Array, Array, Array]:
    """Gradient [B, p + 2], Hessian (or its Gauss-Newton approximation) and the scale D [B, p + 2] of the damping."""
    delta = problems.delta
    decay = _decay(problems, theta)
    residual = theta[:, 0] + decay - problems.Y
    share = problems.weights / problems.weights.sum(axis=0)
    size = np.abs(residual)
    pull = share * np.clip(residual, -delta, delta)
    steady = share * np.minimum(1.0, delta / np.maximum(size, delta))
    curve = np.where(exact, share * (size <= delta), steady)
    bend = np.where(exact, pull * decay, 0.0)
    design, weights = problems.design, curve * decay**2 + bend
    cross = curve * decay
    ridge, P = problems.ridge[:, None], problems.penalty_matrix

    gradient = np.column_stack([pull.sum(axis=0), (pull * decay).sum(axis=0), (pull * decay).T @ design])
    gradient[:, 2:] += ridge * (theta[:, 2:] @ P)
    hessian = np.empty((len(theta), theta.shape[1], theta.shape[1]))
    hessian[:, 0, 0] = curve.sum(axis=0)
    hessian[:, 0, 1] = hessian[:, 1, 0] = cross.sum(axis=0)
    hessian[:, 0, 2:] = hessian[:, 2:, 0] = cross.T @ design
    hessian[:, 1, 1] = weights.sum(axis=0)
    hessian[:, 1, 2:] = hessian[:, 2:, 1] = weights.T @ design
    hessian[:, 2:, 2:] = outer.sums(weights)
    hessian[:, 2:, 2:] += ridge[:, :, None] * P
    weights = steady * decay**2
    scale = np.column_stack([steady.sum(axis=0), weights.sum(axis=0), weights.T @ design**2])
    scale[:, 2:] += ridge * np.diagonal(P)
    return gradient, hessian, np.maximum(scale, 1e-12)


def _step(hessian: Array, gradient: Array, scale: Array, held: Mask, mu: Array) -> Array:
    """The damped step [B, p + 2] on the free parameters."""
    system = np.where(held[:, :, None] | held[:, None, :], 0.0, hessian)
    diagonal = np.arange(system.shape[1])
    system[:, diagonal, diagonal] += np.where(held, 1.0, mu[:, None] * scale)
    step = np.linalg.solve(system, -gradient[:, :, None])[:, :, 0]
    return np.asarray(np.where(held, 0.0, step), dtype=np.float64)
