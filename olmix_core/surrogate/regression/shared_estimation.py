"""Estimation of diminishing returns under the prior that all tasks share (`shared_prior`).

Per task, the posterior in logs is the least squares of log(y - c), with Huber weights (Huber 1964), plus the prior. Its
maximum may have coefficients below 0. The estimate is the non-negative point nearest to it in the metric of the
posterior and of predictions: those of the mixtures halfway between each run and the mean of the runs count as well.
The runs of a sparse swarm leave the sum of many small coefficients open. In the metric of the posterior alone, the
constraint raises this sum, and mixtures of more leaves than the runs have are predicted too low.

Leave-one-out errors are those of the closed form on the coefficients above 0, which is approximate where the constraint
binds. In the covariance a run counts 1 / (y - c)^2, as in the regression in BPB that corresponds to this one: runs of
low BPB, where proposals lie, count most.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import nnls

from olmix_core.mixture import Array
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.regression.estimation import CONSTANT, Estimate, unexplained
from olmix_core.surrogate.regression.laws import DIMINISHING_RETURNS, Law, Parameters
from olmix_core.surrogate.regression.levenberg_marquardt import huber
from olmix_core.surrogate.regression.leverage import MOST_LEVERAGE
from olmix_core.surrogate.regression.marginal_likelihood import task_scales
from olmix_core.surrogate.regression.noise import noise_covariance
from olmix_core.surrogate.regression.prior import SwarmPrior
from olmix_core.surrogate.regression.responses import Responses, in_logs, level_indicators
from olmix_core.surrogate.regression.ridge_path import clipped_rms, filled, unfittable_tasks
from olmix_core.surrogate.regression.shared_prior import SharedPrior

_HUBER = 1.345  # robust standard deviations beyond which a residual counts less (95 % efficient for normal errors)
_MAD = 1.4826  # standard deviations in a median absolute deviation
_ROUNDS = 4  # of reweighting
_LARGEST = 30.0  # logs beyond which a prediction is no BPB
_HALFWAY = 0.1  # weight of the prediction of a mixture halfway to the mean, where a run has 1


@dataclass(frozen=True)
class SharedEstimate:
    """An estimate under a shared prior.

    Attributes:
        estimate: Parameters, errors and flags of all tasks.
        scale: [T] standard deviation of the coefficients in units of the prior.
    """

    estimate: Estimate
    scale: Array


def estimate_shared(
    evidence: SwarmData, shared: SharedPrior, run_weights: Array, prior: SwarmPrior | None, huber_delta: float
) -> SharedEstimate:
    """Fit every task under a prior that was learnt.

    Args:
        evidence: The runs.
        shared: The prior.
        run_weights: [K] weights of the runs.
        prior: How runs and leaves are related; None where they are not.
        huber_delta: BPB beyond which the reported Huber loss is linear.

    Returns:
        The estimate.

    Raises:
        FitError: All runs of a task have weight 0.
    """
    flags, unfittable = unfittable_tasks(evidence)
    fitted = np.flatnonzero(~unfittable)
    Y, weights = filled(evidence, run_weights)
    total = weights.sum(axis=0)
    means = np.sum(weights * Y, axis=0) / total
    levels = level_indicators(prior, evidence.runs)
    covariance = shared.covariance(evidence.leaves, levels.shape[1], prior)
    precision = np.asarray(np.linalg.inv(covariance), dtype=np.float64)
    theta = np.zeros((len(evidence.tasks), len(covariance) + 2))
    theta[:, 0], theta[:, 1] = means, CONSTANT
    errors = np.where(weights > 0, means - Y, 0.0)
    spread = np.sqrt(np.sum(weights * errors**2, axis=0) / total)
    residuals, leverage = errors.copy(), weights / total
    ridge, loss = np.zeros((2, len(evidence.tasks)))
    scale = np.full(len(evidence.tasks), 1e-9)
    m, shares = len(evidence.leaves), np.array([shared.shares[task] for task in evidence.tasks])
    for group in _responses(evidence, shared, levels, weights, fitted, shares):
        probes = _Probes.halfway(evidence, shared.law([evidence.tasks[group.tasks[0]]]), prior, group)
        scales = task_scales(group.moments, covariance)
        scale[group.tasks] = np.sqrt(scales.ratio * scales.noise)
        for i, t in enumerate(group.tasks):
            solution = _TaskRegression(group, i, precision / scales.ratio[i], scales.noise[i], m, probes).solve()
            theta[t] = solution.theta
            errors[:, t] = np.where(group.weights > 0, solution.left_out - Y[:, t], 0.0)
            weights[:, t], leverage[:, t] = solution.weights, solution.leverage
            residuals[:, t] = np.where(group.weights > 0, solution.fitted - Y[:, t], 0.0)
            loss[t] = np.sum(group.weights * huber(residuals[:, t], huber_delta)) / group.weights.sum()
            ridge[t] = np.mean((Y[:, t] - group.floors[i])[group.weights > 0] ** 2) / scales.ratio[i] / total[t]
    size = clipped_rms(errors, filled(evidence, run_weights)[1], spread)
    estimate = Estimate(
        law=shared.law(evidence.tasks),
        parameters=Parameters(theta[:, 0], theta[:, 1], theta[:, 2 : m + 2]),
        levels=theta[:, m + 2 :],
        weights=weights,
        ridge=ridge,
        loss=loss,
        errors=errors,
        noise=noise_covariance(residuals, leverage, weights),
        score=float(np.mean(size[fitted] / spread[fitted])) if len(fitted) else 0.0,
        flags=unexplained(evidence, fitted, size, spread) | flags,
    )
    return SharedEstimate(estimate, scale)


def _responses(
    evidence: SwarmData, shared: SharedPrior, levels: Array, weights: Array, fitted: NDArray[np.intp], shares: Array
) -> list[Responses]:
    """The fitted tasks in groups of equal gamma and runs, in logs."""
    powers = np.array([shared.gammas[task] for task in evidence.tasks])
    groups = []
    for power in np.unique(powers[fitted]):
        design = np.hstack([Law(DIMINISHING_RETURNS, float(power)).features(evidence.X), levels])
        groups += in_logs(evidence, design, weights, fitted[powers[fitted] == power], shares)
    return groups


@dataclass(frozen=True)
class _Probes:
    """Mixtures whose predictions count in the choice of a non-negative estimate.

    Attributes:
        design: [n, p] their rows, centred as those of the runs.
        weights: [n] those of the runs.
    """

    design: Array
    weights: Array

    @classmethod
    def halfway(cls, evidence: SwarmData, law: Law, prior: SwarmPrior | None, group: Responses) -> "_Probes":
        """The mixtures halfway between each run of the newest swarm and their mean."""
        counted = group.weights > 0
        newest = counted if prior is None else counted & prior.newest(evidence.runs)
        rows = newest if newest.any() else counted
        X, weights = evidence.X[rows], group.weights[rows]
        features = law.features((X + weights @ X / weights.sum()) / 2)
        levels = np.zeros((len(X), len(group.centre) - features.shape[1]))
        return cls(np.hstack([features, levels]) - group.centre, weights)

    def information(self, centre: Array) -> Array:
        """Their sums of squares and products [p, p] about a centre [p]."""
        away = self.design - centre
        return np.asarray((away * self.weights[:, None]).T @ away, dtype=np.float64)


@dataclass(frozen=True)
class _Solution:
    """Parameters (c, b, v, d); of the runs [K]: predictions, the same with each left out, leverages and weights."""

    theta: Array
    fitted: Array
    left_out: Array
    leverage: Array
    weights: Array


@dataclass(frozen=True)
class _TaskRegression:
    """The regression of one task in logs: z ~ D theta, theta >= 0 on the first `bounded`, with prior precision.

    The predictions of `probes` count in the choice of the non-negative solution.
    """

    group: Responses
    index: int
    precision: Array
    noise: float
    bounded: int
    probes: _Probes

    def solve(self) -> _Solution:
        """Reweight by the residuals until the weights are steady."""
        group, base = self.group, self.group.weights
        z, factors = group.Z[:, self.index], np.ones(len(base))
        seen = base > 0
        for _ in range(_ROUNDS):
            coefficients, offset = self._weighted(base * factors)
            residual = z - offset - group.design @ coefficients
            robust = max(_MAD * float(np.median(np.abs(residual[seen]))), 0.5 * np.sqrt(self.noise), 1e-12)
            updated = np.minimum(1.0, _HUBER * robust / np.maximum(np.abs(residual), 1e-12))
            steady = float(np.max(np.abs(updated - factors)[seen])) < 1e-3
            factors = updated
            if steady:
                break
        weights = base * factors
        leverage = self._leverage(weights, coefficients)
        left_out = z - residual / (1 - np.minimum(leverage, MOST_LEVERAGE))
        floor, mean = group.floors[self.index], group.means[self.index]

        def bpb(logs: Array) -> Array:
            return np.asarray(floor + np.exp(np.clip(logs + mean, -_LARGEST, _LARGEST)), dtype=np.float64)

        slopes = bpb(z - residual) - floor  # d y / d log
        counts = np.where(seen, weights / np.maximum(slopes, 1e-12) ** 2, 0.0)
        b = mean + offset - group.centre @ coefficients
        return _Solution(
            theta=np.concatenate([[floor, b], coefficients]),
            fitted=bpb(z - residual),
            left_out=bpb(left_out),
            leverage=leverage,
            weights=counts * (base.sum() / counts.sum()),
        )

    def _weighted(self, weights: Array) -> tuple[Array, float]:
        """Coefficients [p] and offset of the regression under some weights [K]."""
        design, z = self.group.design, self.group.Z[:, self.index]
        share = weights / weights.sum()
        centre, mean = share @ design, float(share @ z)
        away = (design - centre) * weights[:, None]
        hessian = away.T @ (design - centre) + self.precision
        maximum = np.linalg.solve(hessian, away.T @ (z - mean))
        metric = hessian + _HALFWAY * self.probes.information(centre)
        coefficients = nearest_nonnegative(maximum, metric, self.bounded)
        return coefficients, mean - float(centre @ coefficients)

    def _leverage(self, weights: Array, coefficients: Array) -> Array:
        """Leverage [K] of the runs, coefficients at 0 held there."""
        free = np.flatnonzero((coefficients > 0) | (np.arange(len(coefficients)) >= self.bounded))
        design = np.column_stack([np.ones(len(weights)), self.group.design[:, free]])
        penalty = np.zeros((len(free) + 1, len(free) + 1))
        penalty[1:, 1:] = self.precision[np.ix_(free, free)]
        information = (design * weights[:, None]).T @ design + penalty
        solved = np.linalg.solve(information, design.T)
        return np.asarray(weights * np.sum(design.T * solved, axis=0), dtype=np.float64)


def nearest_nonnegative(point: Array, metric: Array, bounded: int) -> Array:
    """Find the nearest point whose first coordinates are not negative.

    Args:
        point: [p].
        metric: [p, p] positive definite M of the distance (x - point)' M (x - point).
        bounded: How many coordinates, the first, are >= 0.

    Returns:
        [p] x.
    """
    if np.all(point[:bounded] >= 0):
        return point
    inner, free = metric[:bounded, :bounded], slice(bounded, None)
    if bounded < len(metric):
        factor = cho_factor(metric[free, free])
        eliminated = cho_solve(factor, metric[free, :bounded])
        inner = inner - metric[:bounded, free] @ eliminated
    root = np.linalg.cholesky(inner)
    x = nnls(root.T, root.T @ point[:bounded], maxiter=50 * bounded)[0]
    if bounded == len(metric):
        return np.asarray(x, dtype=np.float64)
    return np.concatenate([x, point[free] - eliminated @ (x - point[:bounded])])
