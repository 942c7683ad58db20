"""Starts of a regression, and the lowest of the minima that they reach.

With a ridge nearly all starts end in one minimum. Without one some tasks have many, because the law can bend to single
runs with enormous coefficients. So the starts vote: where fewer than half of them reach the lowest minimum, many more
are tried for a few iterations each, and the most promising are continued. Random starts are the same for every task, so
that the result for a task does not depend on which others are fitted with it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from olmix_core.mixture import Array
from olmix_core.surrogate.regression.levenberg_marquardt import Problems, Solution, minimise

_LEVELS = (0.1, 0.5, 0.9)  # starts of c as shares of the lowest BPB seen
# Levels of c of the random starts. High levels escape a valley in which all the others end.
_RANDOM_LEVELS = (0.25, 0.55, 0.85, 1.15, 1.4, 1.7, 2.0, 2.4)
_LEVEL = 0.5
_SAME = 1e-4  # relative distance of losses that count as one minimum
_MORE, _MORE_LEVELS = 64, (0.1, 4.4)  # starts where the first ones disagree, and their levels of c
_SHORT, _LONG = 120, 400  # iterations of every start, and of those that are continued
_FOLLOWED = 4  # starts continued where the first ones disagree


def at_mean(problems: Problems, level: float = _LEVEL) -> Array:
    """Start from a constant at the mean.

    Args:
        problems: B regressions.
        level: C as a share of the lowest BPB seen.

    Returns:
        [B, p + 2] parameters (c, b, v) with v = 0.
    """
    c = level * _lowest_seen(problems)
    return np.column_stack([c, np.log(mean_seen(problems) - c), np.zeros((len(c), problems.design.shape[1]))])


def mean_seen(problems: Problems) -> Array:
    """Average the runs seen.

    Args:
        problems: B regressions.

    Returns:
        [B] weighted mean BPB.
    """
    mean: Array = np.sum(problems.weights * problems.Y, axis=0) / problems.weights.sum(axis=0)
    return mean


def lowest_minimum(problems: Problems, warm: Array | None, *, restarts: bool) -> Solution:
    """Minimise every problem.

    Args:
        problems: B regressions.
        warm: [B, p + 2] start; None starts from a constant.
        restarts: Also start elsewhere.

    Returns:
        The lowest minimum found of each problem.
    """
    starts = [at_mean(problems) if warm is None else warm]
    if restarts:
        starts += [at_mean(problems, level) for level in _LEVELS]
        starts += _random(problems, np.array(_RANDOM_LEVELS))
    lowest, reached = _best(problems, starts)
    rugged = np.flatnonzero(2 * reached < len(starts))
    if not restarts or not len(rugged):
        return lowest
    part = problems.subset(rugged)
    losses, thetas = _all(part, _random(part, np.linspace(*_MORE_LEVELS, _MORE)), iterations=_SHORT)
    order = np.argsort(losses, axis=0, kind="stable")[:_FOLLOWED]
    followed = [thetas[start, np.arange(len(rugged))] for start in order]
    more, _ = _best(part, [lowest.theta[rugged], *followed])
    lowest.theta[rugged], lowest.loss[rugged], lowest.converged[rugged] = more.theta, more.loss, more.converged
    return lowest


def _lowest_seen(problems: Problems) -> Array:
    low: Array = np.min(np.where(problems.weights > 0, problems.Y, np.inf), axis=0)
    return low


def _random(problems: Problems, levels: Array) -> list[Array]:
    """Starts with c at these levels of the lowest BPB seen, and random v; the same draws for every problem."""
    random, low = np.random.default_rng(0), _lowest_seen(problems)
    starts = []
    for level, draw in zip(levels, random.standard_normal((len(levels), problems.design.shape[1])), strict=True):
        v = np.broadcast_to(np.abs(draw) if problems.nonnegative else draw, (len(low), draw.size))
        starts.append(np.column_stack([level * low, np.zeros(len(low)), v]))
    return starts


def _all(problems: Problems, starts: Sequence[Array], iterations: int) -> tuple[Array, Array]:
    """Losses [S, B] and parameters [S, B, p + 2] reached from every start."""
    solution = _from(problems, starts, iterations)
    shape = (len(starts), len(problems.ridge))
    return solution.loss.reshape(shape), solution.theta.reshape(*shape, -1)


def _from(problems: Problems, starts: Sequence[Array], iterations: int) -> Solution:
    every = np.tile(np.arange(len(problems.ridge)), len(starts))
    return minimise(problems.subset(every), np.vstack(starts), iterations=iterations)


def _best(problems: Problems, starts: Sequence[Array]) -> tuple[Solution, NDArray[np.intp]]:
    """The lowest minimum of every problem, and from how many starts [B] it was reached.

    Only the lowest start of a problem is continued to convergence; after _SHORT iterations the others have converged or
    are too high.
    """
    losses, thetas = _all(problems, starts, _SHORT)
    lowest = _from(problems, [thetas[np.argmin(losses, axis=0), np.arange(len(problems.ridge))]], _LONG)
    reached = np.count_nonzero(losses <= lowest.loss * (1 + _SAME), axis=0)
    return lowest, reached
