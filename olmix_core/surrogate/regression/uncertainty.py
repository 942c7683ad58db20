"""What each run adds to a fit: leverage, leave-one-out errors, and how far predictions would move.

At a solution of the regressions of `levenberg`, J_kt = d f_t / d (c, b, v) at run k. Everything
here is linear algebra on J (no refitting):

- leave-one-out error of run k: r_kt / (1 - h_kt), h the weighted hat value J_k' (sum w J J' +
  ridge)^-1 J_k w_k;
- standard deviation of a prediction g(q): the infinitesimal jackknife (Efron 1982; the HC3
  sandwich) over runs,

      var g = sum_k ( sum_t weight_t  d_t(q)' B_t^-1 J_kt e_kt )^2  +  | sum_t weight_t tau_t pi_t
      B_t^-1 d_t(q) |^2

  with d_t(q) = d f_t(q) / d (c, b, v), e the leave-one-out errors, B_t = sum_k w_k J J' + pi_t I
  (on v). The first part sums over tasks before it squares, so that errors which the tasks of one
  run share are counted. The second is what the runs leave open: coefficients scatter by tau_t
  around nothing known, pi_t = (noise_t / tau_t)^2, and tasks are taken to err together.

Shapes: K runs, T tasks, m leaves, n mixtures.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from olmix_core.mixture import Array
from olmix_core.surrogate.regression.laws import Law, Parameters
from olmix_core.surrogate.regression.levenberg_marquardt import Problems

_MOST_LEVERAGE = 1 - 1e-6  # a run that decides its own prediction: its error then counts as very large


def leave_one_out(problems: Problems, theta: Array) -> tuple[Array, Array]:
    """Leave-one-out residuals f - y [K, B] and leverages [K, B] at the solution `theta` [B, m + 2].

    Coefficients held at zero stay there; Huber weights are those of the solution.
    """
    law_part = np.minimum(problems.design @ theta[:, 2:].T + theta[:, 1], 50.0)
    decay = np.exp(law_part)
    residual = theta[:, 0] + decay - problems.Y
    share = problems.weights / problems.weights.sum(axis=0)
    weight = share * np.minimum(1.0, problems.delta / np.maximum(np.abs(residual), problems.delta))
    jacobian = _jacobian(problems.design, decay)
    held = np.zeros(theta.shape, dtype=bool)
    held[:, problems.bounded] = theta[:, problems.bounded] <= 0
    jacobian = np.where(held[:, None, :], 0.0, jacobian)
    penalty = np.zeros((*theta.shape, theta.shape[1]))
    penalty[:, 2:, 2:] = problems.ridge[:, None, None] * problems.penalty_matrix
    penalty = np.where(held[:, :, None] | held[:, None, :], 0.0, penalty)
    penalty += held[:, :, None] * np.eye(theta.shape[1])
    information = _information(jacobian, weight, penalty)
    solved = np.linalg.solve(information, jacobian.transpose(0, 2, 1)).transpose(0, 2, 1)
    leverage = np.sum(solved * jacobian, axis=2).T * weight
    return residual / (1 - np.minimum(leverage, _MOST_LEVERAGE)), leverage


def _jacobian(features: Array, decay: Array) -> Array:
    """d f_t / d (c, b, v) [T, n, m + 2] from phi [n, m] and exp(b + phi . v) [n, T]."""
    ones = np.ones((len(features), 1))
    inner = decay.T[:, :, None] * np.column_stack([ones, features])
    return np.concatenate([np.broadcast_to(ones, (decay.shape[1], *ones.shape)), inner], axis=2)


def _information(jacobian: Array, weight: Array, penalty: Array) -> Array:
    """sum_k w_kt J_kt J_kt' + penalty_t [T, m + 2, m + 2], made safely invertible."""
    information = (jacobian.transpose(0, 2, 1) * weight.T[:, None, :]) @ jacobian
    diagonal = np.arange(information.shape[1])
    information[:, diagonal, diagonal] *= 1 + 1e-9
    information[:, diagonal, diagonal] += 1e-12
    return np.asarray(information + penalty, dtype=np.float64)


@dataclass(frozen=True)
class Pooled:
    """What the fit of several swarms adds (see `pool`).

    levels [K, S]: which runs are of which other swarm; offsets [T, S]: how far these lie off; precision [m + S, m + S]:
    the P of the prior.
    """

    levels: Array
    offsets: Array
    precision: Array


@dataclass(frozen=True)
class CovarianceFactors:
    """inverse B^-1 [T, m + S + 2, m + S + 2]; design [K, m + S], features and levels of the runs; offsets [T, S].

    pulls w e [K, T], by which a run pulls; prior [m + S, m + S], the root of P; prior_part tau pi [T].
    """

    inverse: Array
    design: Array
    offsets: Array
    pulls: Array
    prior: Array
    prior_part: Array


@dataclass(frozen=True)
class SandwichCovariance:
    """Error bars of a fitted law.

    X [K, m] the mixtures fitted to; weights [K, T], zero where a run was not evaluated; errors [K,
    T] leave-one-out residuals, zero there too. S counts the other swarms of `pooled`, 0 without.
    """

    law: Law
    parameters: Parameters
    X: Array
    weights: Array
    errors: Array
    pooled: Pooled | None = None

    @cached_property
    def _together(self) -> Pooled:
        """The pool, or that of one swarm."""
        K, m, T = *self.X.shape, len(self.parameters.c)
        return self.pooled or Pooled(np.empty((K, 0)), np.empty((T, 0)), np.eye(m))

    @cached_property
    def noise(self) -> Array:
        """Standard deviation [T] of one run's measured BPB around the law, in BPB."""
        total = np.maximum(self.weights.sum(axis=0), 1e-300)
        kept = np.maximum(1 - self._leverage, 1 - _MOST_LEVERAGE)
        noise: Array = np.sqrt(np.sum(self.weights * self.errors**2 * kept, axis=0) / total)
        return noise

    @cached_property
    def _scatter(self) -> Array:
        """tau [T]: root mean square of each task's coefficients around their mean, in the measure of the prior."""
        v = self.parameters.v
        m = v.shape[1]
        away = v - v.mean(axis=1, keepdims=True) if not self.law.nonnegative else v
        scatter: Array = np.sqrt(np.sum((away @ self._together.precision[:m, :m]) * away, axis=1) / m) + 1e-9
        return scatter

    @cached_property
    def _fitted(self) -> Array:
        """J [T, K, m + S + 2] at the runs."""
        features = np.hstack([self.law.features(self.X), self._together.levels])
        v = np.hstack([self.parameters.v, self._together.offsets])
        return _jacobian(features, Parameters(self.parameters.c, self.parameters.b, v).decay(features))

    def _direction(self, Q: Array) -> Array:
        """d f_t / d (c, b, v, d) [T, n, m + S + 2] of predictions at Q [n, m], which are for the current swarm."""
        features = self.law.features(Q)
        decay = self.parameters.decay(features)
        return _jacobian(np.hstack([features, np.zeros((len(Q), self._together.levels.shape[1]))]), decay)

    @cached_property
    def _precision(self) -> Array:
        """pi [T], from the raw scatter of the leave-one-out errors."""
        total = np.maximum(self.weights.sum(axis=0), 1e-300)
        scatter = np.sum(self.weights * self.errors**2, axis=0) / total
        precision: Array = scatter / self._scatter**2
        return precision

    @cached_property
    def _inverse(self) -> Array:
        """B^-1 [T, m + S + 2, m + S + 2]."""
        size = self._fitted.shape[2]
        penalty = np.zeros((len(self._precision), size, size))
        penalty[:, 2:, 2:] = self._precision[:, None, None] * self._together.precision
        information = _information(self._fitted, self.weights, penalty)
        return np.asarray(np.linalg.inv(information), dtype=np.float64)

    @cached_property
    def _prior_part(self) -> Array:
        """How (c, b, v, d) move by what is left open [T, m + S, m + S + 2]: by each unit of the prior."""
        root = np.linalg.cholesky(self._together.precision).T
        return np.asarray((root @ self._inverse[:, 2:]) * (self._scatter * self._precision)[:, None, None])

    @cached_property
    def _moves(self) -> Array:
        """How (c, b, v, d) move by run and by what is left open [T, K + m + S, m + S + 2]."""
        by_run = (self._fitted * (self.weights * self.errors).T[:, :, None]) @ self._inverse
        return np.concatenate([by_run, self._prior_part], axis=1)

    @cached_property
    def _leverage(self) -> Array:
        """h [K, T] of the runs under B."""
        solved = self._fitted @ self._inverse
        leverage: Array = np.sum(solved * self._fitted, axis=2).T * self.weights
        return leverage

    def draws(self, count: int, seed: int) -> Array:
        """[count, T, m + S + 2] moves of (c, b, v, d), drawn from what the runs leave possible.

        A run moves the parameters of all tasks together, as its errors on them go together.
        """
        unit = np.random.default_rng(seed).standard_normal((count, self._moves.shape[1]))
        return np.asarray(np.tensordot(unit, self._moves, axes=([1], [1])), dtype=np.float64)

    def factors(self) -> CovarianceFactors:
        """What `moves` is computed from, for who computes it elsewhere."""
        return CovarianceFactors(
            inverse=self._inverse,
            design=np.hstack([self.law.features(self.X), self._together.levels]),
            offsets=self._together.offsets,
            pulls=self.weights * self.errors,
            prior=np.asarray(np.linalg.cholesky(self._together.precision).T, dtype=np.float64),
            prior_part=self._scatter * self._precision,
        )

    def prediction_deviations(self, Q: Array) -> tuple[Array, Array]:
        """How predictions at Q [n, m] move: by run [T, n, K], and by what is left open [T, n, m + S];
        in BPB.
        """
        direction = self._direction(Q)
        by_run = direction @ self._inverse @ self._fitted.transpose(0, 2, 1)
        by_run = by_run * (self.weights * self.errors).T[:, None, :]
        return by_run, direction @ self._prior_part.transpose(0, 2, 1)

    def task_std(self, Q: Array) -> Array:
        """Standard deviation [n, T] of each task's predicted BPB at Q [n, m]."""
        by_run, prior_part = self.prediction_deviations(Q)
        return np.asarray(np.sqrt(np.sum(by_run**2, axis=2) + np.sum(prior_part**2, axis=2)).T)

    def objective_std(self, Q: Array, task_weights: Array, reference: Array | None) -> Array:
        """Standard deviation [n] of the weighted mean BPB at Q, or of its difference to `reference`
        [m].
        """
        points = Q if reference is None else np.vstack([Q, reference])
        by_run, prior_part = (np.tensordot(task_weights, part, axes=1) for part in self.prediction_deviations(points))
        if reference is not None:
            by_run, prior_part = by_run[:-1] - by_run[-1], prior_part[:-1] - prior_part[-1]
        return np.asarray(np.sqrt(np.sum(by_run**2, axis=1) + np.sum(prior_part**2, axis=1)))

    def objective_std_gradient(self, q: Array, task_weights: Array) -> tuple[float, Array]:
        """Standard deviation of the weighted mean BPB at one mixture q [m], and its slope [m]
        there.
        """
        features = self.law.features(q[None])
        decay = self.parameters.decay(features)[0]
        direction = self._direction(q[None])[:, 0]
        total = np.tensordot(self._moves, direction * task_weights[:, None], axes=([0, 2], [0, 1]))
        std = float(np.sqrt(np.sum(total**2)))
        # d direction / d q_j = decay phi'_j (v_j (0, 1, phi) + e_j)
        pushed = (total @ self._moves) * (decay * task_weights)[:, None]
        of_leaves = pushed[:, 2 : 2 + len(q)]
        inner = pushed[:, 1] + of_leaves @ features[0]
        slope = np.sum(inner[:, None] * self.parameters.v + of_leaves, axis=0)
        return std, slope * self.law.slopes(q) / max(std, 1e-300)

    @cached_property
    def noise_covariance(self) -> Array:
        """[T, T] covariance of the tasks of one run's measured BPB around the law.

        Variances are those of `noise`; how tasks go together is read off the runs that were measured on all of them.
        """
        together = np.eye(len(self.noise))
        complete = np.all(self.weights > 0, axis=1)
        if complete.any():
            kept = np.sqrt(np.maximum(1 - self._leverage[complete], 1 - _MOST_LEVERAGE))
            errors = self.errors[complete] * kept
            errors = errors / np.maximum(np.sqrt(np.sum(errors**2, axis=0)), 1e-300)
            together = errors.T @ errors
            np.fill_diagonal(together, 1.0)
        return np.asarray(self.noise[:, None] * together * self.noise, dtype=np.float64)

    def objective_noise(self, task_weights: Array) -> float:
        """Standard deviation of one run's measured weighted mean BPB around the law."""
        return float(np.sqrt(task_weights @ self.noise_covariance @ task_weights))
