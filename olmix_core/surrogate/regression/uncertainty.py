"""Covariance of a fit and the error of its predictions, by linear algebra on the Jacobian (`leverage`).

The variance of a prediction g(q) is the infinitesimal jackknife over runs (Efron 1982; the HC3 sandwich)::

    var g = sum_k ( sum_t weight_t d_t(q)' B_t^-1 J_kt e_kt )^2  +  | sum_t weight_t tau_t pi_t B_t^-1 d_t(q) |^2

with J_kt = d f_t / d (c, b, v) at run k, d_t(q) the same at q, e the leave-one-out errors, and
B_t = sum_k w_k J J' + pi_t I (on v). The first part sums over tasks before it squares, so that errors which the tasks
of one run share are counted. The second part is what the runs leave undetermined: coefficients scatter by tau_t under
the prior, pi_t = (noise_t / tau_t)^2, and tasks are taken to err together.

Shapes: K runs, T tasks, m leaves, n mixtures, S other swarms (0 without a prior).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NotRequired, Self, TypedDict

import numpy as np

from olmix_core.mixture import Array
from olmix_core.surrogate.regression.factors import CovarianceFactors
from olmix_core.surrogate.regression.laws import Law, Parameters, with_levels
from olmix_core.surrogate.regression.leverage import MOST_LEVERAGE, information_matrix, jacobian
from olmix_core.surrogate.regression.local_noise import LocalNoise
from olmix_core.surrogate.regression.noise import noise_covariance_of_errors
from olmix_core.surrogate.regression.prior import Pooled, PooledJSON

_GIVEN = 1e6  # times the information of the runs: that on c, where c was given


class CovarianceJSON(TypedDict):
    """A `SandwichCovariance`: mixtures [K, m], weights [K, T], left_out [K, T], noise [T, T]."""

    mixtures: list[list[float]]
    weights: list[list[float]]
    left_out: list[list[float]]
    noise: NotRequired[list[list[float]]]
    pooled: PooledJSON | None


@dataclass(frozen=True)
class SandwichCovariance:
    """Covariance of the parameters of a fitted law, and the scatter of the runs around it.

    Attributes:
        law: Form of the law.
        parameters: Parameters of every task.
        X: [K, m] mixtures of the runs.
        weights: [K, T] weights of the runs; 0 where a run was not evaluated.
        errors: [K, T] leave-one-out residuals in BPB; 0 where a run was not evaluated.
        pooled: What several swarms add; None for one swarm.
        run_noise: [T, T] covariance of the tasks of one run around the law, in BPB^2; None for a law that version 0.1.0
            stored, whose noise is estimated from `errors`.
    """

    law: Law
    parameters: Parameters
    X: Array
    weights: Array
    errors: Array
    pooled: Pooled | None = None
    run_noise: Array | None = None

    def to_json(self) -> CovarianceJSON:
        """Write the data of the error bars as JSON.

        Returns:
            Plain JSON values.
        """
        return {
            "mixtures": self.X.tolist(),
            "weights": self.weights.tolist(),
            "left_out": self.errors.tolist(),
            "noise": self.noise_covariance.tolist(),
            "pooled": self.pooled.to_json() if self.pooled else None,
        }

    @classmethod
    def from_json(cls, law: Law, parameters: Parameters, data: CovarianceJSON) -> Self:
        """Read what `to_json` wrote.

        Args:
            law: Form of the law.
            parameters: Parameters of every task.
            data: The JSON.

        Returns:
            The covariance.
        """
        X, weights, errors = (np.asarray(data[name], dtype=np.float64) for name in ("mixtures", "weights", "left_out"))
        pooled = Pooled.from_json(data["pooled"]) if data["pooled"] else None
        run_noise = np.asarray(data["noise"], dtype=np.float64) if "noise" in data else None
        return cls(law, parameters, X, weights, errors, pooled, run_noise)

    @cached_property
    def _together(self) -> Pooled:
        """Pooling terms; empty arrays for a single swarm."""
        K, m, T = *self.X.shape, len(self.parameters.c)
        return self.pooled or Pooled(np.empty((K, 0)), np.empty((T, 0)), np.eye(m))

    @cached_property
    def noise(self) -> Array:
        """Standard deviation [T] of one run's measured BPB around the law, in BPB."""
        return np.asarray(np.sqrt(np.diagonal(self.noise_covariance)))

    @cached_property
    def _scatter(self) -> Array:
        """Scale tau [T]: as it was learnt, or the root mean square of the coefficients around their mean."""
        if self._together.scale is not None:
            return self._together.scale
        v, m = self.parameters.v, self.parameters.v.shape[1]
        away = v - v.mean(axis=1, keepdims=True) if not self.law.nonnegative else v
        return np.asarray(np.sqrt(np.sum((away @ self._together.precision[:m, :m]) * away, axis=1) / m) + 1e-9)

    @cached_property
    def _fitted(self) -> Array:
        """J [T, K, m + S + 2] at the runs."""
        features = with_levels(self.law.features(self.X), self._together.levels)
        v = np.hstack([self.parameters.v, self._together.offsets])
        return jacobian(features, Parameters(self.parameters.c, self.parameters.b, v).decay(features))

    def _direction(self, Q: Array) -> Array:
        """Gradients d f_t / d (c, b, v, d) [T, n, m + S + 2] at Q [n, m], for the current swarm."""
        features = self.law.features(Q)
        decay = self.parameters.decay(features)
        return jacobian(with_levels(features, np.zeros((len(Q), self._together.levels.shape[1]))), decay)

    @cached_property
    def _precision(self) -> Array:
        """Noise pi [T], from the raw scatter of the leave-one-out errors."""
        total = np.maximum(self.weights.sum(axis=0), 1e-300)
        scatter = np.sum(self.weights * self.errors**2, axis=0) / total
        return np.asarray(scatter / self._scatter**2)

    @cached_property
    def _inverse(self) -> Array:
        """B^-1 [T, m + S + 2, m + S + 2]."""
        size = self._fitted.shape[2]
        penalty = np.zeros((len(self._precision), size, size))
        penalty[:, 2:, 2:] = self._precision[:, None, None] * self._together.precision
        if self._together.scale is not None:
            penalty[:, 0, 0] = _GIVEN * len(self.X)
        information = information_matrix(self._fitted, self.weights, penalty)
        return np.asarray(np.linalg.inv(information), dtype=np.float64)

    @cached_property
    def _prior_part(self) -> Array:
        """[T, m + S, m + S + 2] deviations of (c, b, v, d) by each unit of the prior."""
        root = np.linalg.cholesky(self._together.precision).T
        return np.asarray((root @ self._inverse[:, 2:]) * (self._scatter * self._precision)[:, None, None])

    @cached_property
    def _deviations(self) -> Array:
        """[T, K + m + S, m + S + 2] deviations of (c, b, v, d) by run, then by each unit of the prior."""
        by_run = (self._fitted * (self.weights * self.errors).T[:, :, None]) @ self._inverse
        return np.concatenate([by_run, self._prior_part], axis=1)

    @cached_property
    def _leverage(self) -> Array:
        """Leverage h [K, T] of the runs under B."""
        solved = self._fitted @ self._inverse
        leverage: Array = np.sum(solved * self._fitted, axis=2).T * self.weights
        return leverage

    def draws(self, count: int, seed: int) -> Array:
        """Draw parameters from their distribution. A run moves those of all tasks together, as its errors correlate.

        Args:
            count: Number of draws.
            seed: Seed of the draws.

        Returns:
            [count, T, m + S + 2] deviations of (c, b, v, d) from the fit.
        """
        unit = np.random.default_rng(seed).standard_normal((count, self._deviations.shape[1]))
        return np.asarray(np.tensordot(unit, self._deviations, axes=([1], [1])), dtype=np.float64)

    def factors(self) -> CovarianceFactors:
        """Compute the factors needed to recompute deviations outside Python (report/whatif.js).

        Returns:
            The factors.
        """
        return CovarianceFactors(
            inverse=self._inverse,
            mixtures=self.X,
            levels=self._together.levels,
            offsets=self._together.offsets,
            pulls=self.weights * self.errors,
            prior=np.asarray(np.linalg.cholesky(self._together.precision).T, dtype=np.float64),
            prior_part=self._scatter * self._precision,
            local_noise=self._local_noise,
        )

    def prediction_deviations(self, Q: Array) -> tuple[Array, Array]:
        """Compute the deviations of predictions.

        Args:
            Q: [n, m] mixtures.

        Returns:
            Deviations in BPB by run [T, n, K], and by each unit of the prior [T, n, m + S].
        """
        direction = self._direction(Q)
        by_run = direction @ self._inverse @ self._fitted.transpose(0, 2, 1)
        by_run = by_run * (self.weights * self.errors).T[:, None, :]
        return by_run, direction @ self._prior_part.transpose(0, 2, 1)

    def task_std(self, Q: Array) -> Array:
        """Estimate the error of each task's prediction.

        Args:
            Q: [n, m] mixtures.

        Returns:
            [n, T] standard deviations in BPB.
        """
        by_run, prior_part = self.prediction_deviations(Q)
        return np.asarray(np.sqrt(np.sum(by_run**2, axis=2) + np.sum(prior_part**2, axis=2)).T)

    def objective_std(self, Q: Array, task_weights: Array, reference: Array | None) -> Array:
        """Estimate the error of the weighted mean BPB, or of its difference to a reference.

        Args:
            Q: [n, m] mixtures.
            task_weights: [T] weights, which sum to 1.
            reference: [m] a mixture; None for the error of the mean itself.

        Returns:
            [n] standard deviations in BPB.
        """
        points = Q if reference is None else np.vstack([Q, reference])
        by_run, prior_part = (np.tensordot(task_weights, part, axes=1) for part in self.prediction_deviations(points))
        if reference is not None:
            by_run, prior_part = by_run[:-1] - by_run[-1], prior_part[:-1] - prior_part[-1]
        return np.asarray(np.sqrt(np.sum(by_run**2, axis=1) + np.sum(prior_part**2, axis=1)))

    def objective_std_gradient(self, q: Array, task_weights: Array) -> tuple[float, Array]:
        """Differentiate the error of the weighted mean BPB.

        Args:
            q: [m] one mixture.
            task_weights: [T] weights, which sum to 1.

        Returns:
            The standard deviation in BPB, and its slope [m].
        """
        features = self.law.features(q[None])
        decay = self.parameters.decay(features)[0]
        direction = self._direction(q[None])[:, 0]
        total = np.tensordot(self._deviations, direction * task_weights[:, None], axes=([0, 2], [0, 1]))
        std = float(np.sqrt(np.sum(total**2)))
        # d direction / d q_j = decay phi'_j (v_j (0, 1, phi) + e_j)
        pushed = (total @ self._deviations) * (decay * task_weights)[:, None]
        of_leaves = pushed[:, 2 : 2 + len(q)]
        inner = pushed[:, 1] + np.sum(of_leaves * features[..., 0, :], axis=1)
        slope = np.sum((inner[:, None] * self.parameters.v + of_leaves) * self.law.slopes(q), axis=0)
        return std, slope / max(std, 1e-300)

    @cached_property
    def noise_covariance(self) -> Array:
        """[T, T] covariance of the tasks of one run's measured BPB around the law."""
        if self.run_noise is not None:
            return self.run_noise
        return noise_covariance_of_errors(self.errors, self._leverage, self.weights)

    @cached_property
    def _local_noise(self) -> LocalNoise | None:
        """How the noise of a run depends on its mixture; None for a law that is fitted in BPB."""
        if self._together.scale is None:
            return None
        kept = np.maximum(1 - self._leverage, 1 - MOST_LEVERAGE)
        return LocalNoise.of_runs(self._fitted[:, :, 1].T, self.errors * np.sqrt(kept), self.weights)

    def noise_scales(self, Q: Array) -> Array:
        """Compute the noise of runs at some mixtures as a multiple of `noise`.

        Args:
            Q: [n, m] mixtures.

        Returns:
            [n, T].
        """
        if self._local_noise is None:
            return np.ones((len(Q), len(self.noise)))
        return self._local_noise.scales(self.parameters.decay(self.law.features(Q)))

    def objective_noises(self, Q: Array, task_weights: Array) -> Array:
        """Estimate the scatter of runs around the weighted mean.

        Args:
            Q: [n, m] mixtures.
            task_weights: [T] weights, which sum to 1.

        Returns:
            [n] standard deviations of one run's measured mean, in BPB.
        """
        scaled = self.noise_scales(Q) * task_weights
        return np.asarray(np.sqrt(np.sum((scaled @ self.noise_covariance) * scaled, axis=1)))
