"""Learn the prior covariance of regression coefficients that all tasks share, by maximum marginal likelihood.

Each task t is a linear regression with Gaussian coefficients::

    z_t ~ N(b_t, sigma_t^2 (I + r_t D L D')),     L = sum_i exp(theta_i) B_i

on one design D [K, p]. The covariance L is common to all tasks; the signal-to-noise ratio r_t and the noise sigma_t^2
are those of each task, profiled out; b_t is removed by centring. With T tasks there are T times as many observations
of L as of the coefficients of one task, so that L can be learnt where the coefficients themselves cannot (empirical
Bayes; Robbins 1956; Rasmussen and Williams 2006, section 5.4).

All sums over runs are formed once, so the cost of a step does not grow with the number of runs.

Shapes: K runs, p coefficients, B tasks, C components.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import minimize

from olmix_core.mixture import Array

_RATIOS = np.geomspace(1e-3, 1e4, 29)  # of signal to noise, for a design scaled to variance 1
_RATIO_SPREAD = 3.0  # standard deviation of the prior on the log of that ratio
_BISECTIONS = 24
_FURTHEST = 8.0  # of a log variance from its mean, so that a covariance can be factorised
_MOST_STEPS = 60


@dataclass(frozen=True)
class Moments:
    """Weighted sums over runs of tasks that were evaluated on the same runs.

    Attributes:
        gram: [p, p] D' W D of the centred design.
        cross: [p, B] D' W z.
        total: [B] z' W z.
        freedom: Degrees of freedom, the number of runs with a weight less 1.
    """

    gram: Array
    cross: Array
    total: Array
    freedom: int

    @classmethod
    def of(cls, design: Array, Z: Array, weights: Array) -> "Moments":
        """Sum over runs.

        Args:
            design: [K, p], centred under the weights.
            Z: [K, B] responses, centred under the weights.
            weights: [K].

        Returns:
            The moments.
        """
        weighted = design * weights[:, None]
        return cls(
            gram=weighted.T @ design,
            cross=weighted.T @ Z,
            total=np.asarray(weights @ Z**2, dtype=np.float64),
            freedom=max(int(np.count_nonzero(weights)) - 1, 1),
        )


@dataclass(frozen=True)
class Components:
    """The form of the covariance, L = sum_i exp(theta_i) B_i, with a Gaussian prior on each theta_i.

    Attributes:
        leaves: Number of the first coefficients, each with a variance of its own (B_i = e_i e_i').
        shared: [C - leaves] further B_i, each [p, p].
        centre: [C] mean of the prior on theta.
        spread: [C] its standard deviation.
    """

    leaves: int
    shared: Sequence[Array]
    centre: Array
    spread: Array

    def covariance(self, theta: Array) -> Array:
        """Compute L.

        Args:
            theta: [C] logs of the variances.

        Returns:
            [p, p].
        """
        size = len(self.shared[0]) if self.shared else self.leaves
        variances = np.exp(theta)
        covariance = np.zeros((size, size))
        diagonal = np.arange(self.leaves)
        covariance[diagonal, diagonal] = variances[: self.leaves]
        for variance, matrix in zip(variances[self.leaves :], self.shared, strict=True):
            covariance += variance * matrix
        return covariance

    def slopes(self, theta: Array, of_covariance: Array) -> Array:
        """Carry a derivative by L over to theta.

        Args:
            theta: [C].
            of_covariance: [p, p] d f / d L.

        Returns:
            [C] d f / d theta.
        """
        own = np.diagonal(of_covariance)[: self.leaves]
        shared = [np.sum(matrix * of_covariance) for matrix in self.shared]
        return np.asarray(np.exp(theta) * np.concatenate([own, shared]), dtype=np.float64)


@dataclass(frozen=True)
class TaskScales:
    """What is particular to each task under a covariance.

    Attributes:
        ratio: [B] r, variance of the coefficients as a multiple of L and of the noise.
        noise: [B] sigma^2.
        surprise: [B] negative log marginal likelihood, up to a constant that depends on nothing.
    """

    ratio: Array
    noise: Array
    surprise: Array


@dataclass(frozen=True)
class _Spectrum:
    """The design in the basis in which L is the identity: eigenvalues [p], responses u [p, B], and the basis [p, p]."""

    values: Array
    responses: Array
    basis: Array

    @classmethod
    def of(cls, moments: Moments, covariance: Array) -> "_Spectrum":
        root = np.linalg.cholesky(covariance)
        values, vectors = np.linalg.eigh(root.T @ moments.gram @ root)
        return cls(
            values=np.maximum(values, 0.0),
            responses=vectors.T @ (root.T @ moments.cross),
            basis=solve_triangular(root.T, vectors, lower=False),
        )


def task_scales(moments: Moments, covariance: Array) -> TaskScales:
    """Maximise the marginal likelihood of each task over its signal-to-noise ratio and its noise.

    Args:
        moments: Sums over the runs of B tasks.
        covariance: [p, p] L.

    Returns:
        The scales.
    """
    return _task_scales(moments, _Spectrum.of(moments, covariance))


def _task_scales(moments: Moments, spectrum: _Spectrum) -> TaskScales:
    values, energy, n = spectrum.values, spectrum.responses**2, moments.freedom
    unit: float = n / max(
        float(np.trace(moments.gram)), 1e-300
    )  # signal and noise of equal variance, for L the identity

    def noise(ratio: Array) -> Array:
        explained = np.sum(energy * (ratio / (1 + ratio * values[:, None])), axis=0)
        return np.asarray(np.maximum(moments.total - explained, 1e-12 * moments.total + 1e-300) / n)

    def surprise(ratio: Array) -> Array:
        spread = 0.5 * np.sum(np.log1p(ratio * values[:, None]), axis=0)
        strange = 0.5 * (np.log(ratio / unit) / _RATIO_SPREAD) ** 2
        return np.asarray(0.5 * n * np.log(noise(ratio)) + spread + strange, dtype=np.float64)

    def slope(ratio: Array) -> Array:
        damped = 1 / (1 + ratio * values[:, None])
        of_noise = -np.sum(energy * ratio * damped**2, axis=0) / n
        of_spread = 0.5 * np.sum(ratio * values[:, None] * damped, axis=0)
        return np.asarray(0.5 * n * of_noise / noise(ratio) + of_spread + np.log(ratio / unit) / _RATIO_SPREAD**2)

    tasks = energy.shape[1]
    table = np.array([surprise(np.full(tasks, ratio * unit)) for ratio in _RATIOS])
    nearest = np.argmin(table, axis=0)
    low = np.log(_RATIOS[np.maximum(nearest - 1, 0)] * unit)
    high = np.log(_RATIOS[np.minimum(nearest + 1, len(_RATIOS) - 1)] * unit)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        rising = slope(np.exp(middle)) > 0
        low, high = np.where(rising, low, middle), np.where(rising, middle, high)
    ratio = np.exp((low + high) / 2)
    return TaskScales(ratio, noise(ratio), surprise(ratio))


def learn_covariance(groups: Sequence[Moments], components: Components, start: Array | None = None) -> Array:
    """Maximise the joint marginal likelihood of all tasks over the covariance.

    Args:
        groups: Sums over runs, one for each set of tasks that were evaluated on the same runs.
        components: The form of the covariance.
        start: [C] where the search begins; None for the mean of the prior on theta.

    Returns:
        [C] theta, the logs of the variances.
    """

    def objective(theta: Array) -> tuple[float, Array]:
        covariance = components.covariance(theta)
        away = (theta - components.centre) / components.spread
        value, slope = 0.5 * float(away @ away), away / components.spread
        for moments in groups:
            surprise, of_covariance = _surprise(moments, covariance)
            value += surprise
            slope = slope + components.slopes(theta, of_covariance)
        return value, slope

    within = list(zip(components.centre - _FURTHEST, components.centre + _FURTHEST, strict=True))
    begin = components.centre if start is None else start
    result = minimize(objective, begin, jac=True, method="L-BFGS-B", bounds=within, options={"maxiter": _MOST_STEPS})
    return np.asarray(result.x, dtype=np.float64)


def _surprise(moments: Moments, covariance: Array) -> tuple[float, Array]:
    """The negative log marginal likelihood of some tasks, and its derivative by L [p, p]."""
    spectrum = _Spectrum.of(moments, covariance)
    scales = _task_scales(moments, spectrum)
    damped = 1 / (1 + scales.ratio * spectrum.values[:, None])
    pull = spectrum.responses * damped * np.sqrt(scales.ratio / scales.noise)
    spread = np.sum(scales.ratio * spectrum.values[:, None] * damped, axis=1)
    inner = np.diag(spread) - pull @ pull.T
    return float(scales.surprise.sum()), 0.5 * spectrum.basis @ inner @ spectrum.basis.T
