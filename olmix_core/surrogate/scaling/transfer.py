"""How the effect of the mixture changes with scale: the model of a run at any scale, given the law of the proxies.

Per task, with f the law at the base scale, f_0 its mean over the runs of the swarm, and x a distance in log FLOPs::

    y(q, x) = L(x) (f_0 + s(x) (f(q) - f_0) + h(q) . d(x)) + noise
    s(x) = 1 + u clip(x, -1, 1) + W_s(x)          d(x) = W_d(x)

L is the level (`levels`) with a small Brownian deviation. W are Brownian motions in x: the further a scale is from the
base, the less its slope s and its response d to single leaves are known; at the base all are 0. The slope is relative
to the level: u > 0 means that differences shrink less than the level falls. h(q) = (f(q) - c) (phi(q) - phi_0) are the
derivatives of f by its coefficients, so that d changes the coefficients and the law keeps its form. The error of f, and
u, are common to all tasks; so is a share of d.

All this is Gaussian given L, which is linearised at its estimate. `gains` conditions on the anchors.

Shapes: T tasks, m leaves, A anchors, n mixtures, R sources of error of the law (runs and units of its prior).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from olmix_core.mixture import Array
from olmix_core.surrogate.scaling.anchors import Anchors
from olmix_core.surrogate.scaling.base_law import BaseLaw, MixtureTerms
from olmix_core.surrogate.scaling.levels import LevelLaw
from olmix_core.surrogate.scaling.scale import Scale

UNIT = float(np.log(100.0))  # log FLOPs in a unit of distance
COMMON_RESPONSE = 0.5  # share of the variance of d that all tasks have in common
COMMON_LEVEL = 0.8  # the same of the level
_LEVEL_SPREAD = 0.03  # deviation of log L from its law, per root of distance
_RECIPE_SPREAD = 0.02  # deviation of log L that the runs of one scale have in common: recipes differ by more than size
_LEAST_NOISE = 1e-6  # of a run, as a share of its BPB
_ABSENT = 1e6  # noise of a run that was not evaluated


@dataclass(frozen=True)
class Hyperparameters:
    """What was learnt from the anchors, or is known before there are any.

    Attributes:
        slope: u.
        slope_error: Standard deviation of u.
        slope_spread: Standard deviation of W_s at distance 1.
        noise: Noise of a run at another scale in multiples of L and of its noise at the base.
        response: [T] standard deviation of h . d at distance 1, as a share of the spread of f over the swarm.
        theta: [T, 4] where the level is linearised.
    """

    slope: float
    slope_error: float
    slope_spread: float
    noise: float
    response: Array
    theta: Array


@dataclass(frozen=True)
class Gains:
    """The posterior at the target, as linear functions of the anchors' residuals.

    Attributes:
        level: [T, A] of log L.
        slope: [T, A] of s.
        response: [T, m, A] of d.
        residuals: [T, A] measured less expected BPB of the anchors.
        theta: [T, 4] posterior mean of the level's parameters.
    """

    level: Array
    slope: Array
    response: Array
    residuals: Array
    theta: Array


@dataclass(frozen=True)
class TransferModel:
    """The model of the anchors and of the target.

    Attributes:
        base: The law at the base scale.
        target: The scale to predict at.
        anchors: Runs at other scales.
    """

    base: BaseLaw
    target: Scale
    anchors: Anchors

    @cached_property
    def level_law(self) -> LevelLaw:
        """The prior of the level."""
        return LevelLaw(self.base.scale)

    @cached_property
    def terms(self) -> MixtureTerms:
        """Terms of the anchors' mixtures."""
        return self.base.terms(self.anchors.X)

    @cached_property
    def scales(self) -> Sequence[Scale]:
        """[A + 1] scales of the anchors, and the target last."""
        return (*self.anchors.scales, self.target)

    @cached_property
    def ramp(self) -> Array:
        """[A + 1] clip(x, -1, 1)."""
        return np.clip(self._distances, -1.0, 1.0)

    @cached_property
    def brownian(self) -> Array:
        """[A + 1, A + 1] covariance of a Brownian motion at the scales, 1 at distance 1."""
        x = self._distances
        return np.where(np.multiply.outer(x, x) > 0, np.minimum.outer(np.abs(x), np.abs(x)), 0.0)

    @cached_property
    def _distances(self) -> Array:
        return np.array([scale.distance(self.base.scale) / UNIT for scale in self.scales])

    def levels(self, theta: Array) -> Array:
        """Compute L at the scales.

        Args:
            theta: [T, 4].

        Returns:
            [T, A + 1].
        """
        return np.exp(self.level_law.logs(theta, self.scales))

    def expected(self, hyper: Hyperparameters) -> Array:
        """Compute what the anchors are expected to measure at theta, without W.

        Args:
            hyper: The hyperparameters.

        Returns:
            [T, A] BPB.
        """
        slopes = 1 + hyper.slope * self.ramp[:-1]
        return np.asarray(
            self.levels(hyper.theta)[:, :-1] * (self.base.centre[:, None] + slopes * self.terms.away), dtype=np.float64
        )

    def residuals(self, hyper: Hyperparameters) -> Array:
        """Compute measured less expected BPB of the anchors, at the prior mean of the level.

        Args:
            hyper: The hyperparameters.

        Returns:
            [T, A] BPB; 0 where a run was not evaluated.
        """
        expected = self.expected(hyper)
        away = self.level_law.centre - hyper.theta
        shift = expected * np.einsum("tap,tp->ta", self._level_slopes(hyper)[:, :-1], away)
        return np.asarray(np.nan_to_num(self.anchors.Y.T - expected - shift))

    def covariance(self, hyper: Hyperparameters) -> Array:
        """Compute the covariance of the residuals.

        Args:
            hyper: The hyperparameters.

        Returns:
            [T, A, A] BPB^2.
        """
        L = self.levels(hyper.theta)[:, :-1]
        errors = (L * (1 + hyper.slope * self.ramp[:-1]))[:, :, None] * self.terms.errors
        total = sum(self.process_covariance(hyper)) + errors @ errors.transpose(0, 2, 1)
        least = _LEAST_NOISE * self.expected(hyper)
        noise = np.where(np.isnan(self.anchors.Y.T), _ABSENT, np.maximum(L * hyper.noise * self.terms.noise, least))
        return np.asarray(total + noise[:, :, None] ** 2 * np.eye(len(self.anchors.X)), dtype=np.float64)

    def process_covariance(self, hyper: Hyperparameters) -> tuple[Array, Array, Array]:
        """Compute the covariances of the anchors that level, slope and response cause.

        Args:
            hyper: The hyperparameters.

        Returns:
            [T, A, A] each, in BPB^2.
        """
        L, expected = self.levels(hyper.theta)[:, :-1], self.expected(hyper)
        walk = self.brownian[:-1, :-1]
        of_level = expected[:, :, None] * self.level_sources(hyper)[:, :-1]
        slope = L * self.terms.away * hyper.slope_spread
        response = (L * hyper.response[:, None])[:, :, None] * self.terms.response
        level = of_level @ of_level.transpose(0, 2, 1)
        return level, _outer(slope) * walk, (response @ response.transpose(0, 2, 1)) * walk

    def level_sources(self, hyper: Hyperparameters) -> Array:
        """Compute the deviations of log L by independent sources: theta, a Brownian motion, and the recipe of a scale.

        Args:
            hyper: The hyperparameters.

        Returns:
            [T, A + 1, sources] at the scales.
        """
        of_theta = self._level_slopes(hyper) @ np.linalg.cholesky(self.level_law.covariance)
        values, vectors = np.linalg.eigh(self.brownian)
        drift = _LEVEL_SPREAD * vectors * np.sqrt(np.maximum(values, 0.0))
        distinct = [scale for scale in dict.fromkeys(self.scales) if scale != self.base.scale]
        recipe = _RECIPE_SPREAD * np.array([[float(scale == other) for other in distinct] for scale in self.scales])
        common = np.hstack([drift, recipe])
        return np.concatenate([of_theta, np.broadcast_to(common, (len(of_theta), *common.shape))], axis=2)

    def target_covariances(self, hyper: Hyperparameters) -> tuple[Array, Array, Array]:
        """Compute the covariances of log L, s and d at the target with the anchors' residuals.

        Args:
            hyper: The hyperparameters.

        Returns:
            [T, A], [T, A] and [T, m, A].
        """
        L, walk, sources = self.levels(hyper.theta)[:, :-1], self.brownian[-1, :-1], self.level_sources(hyper)
        level = self.expected(hyper) * np.einsum("ts,tas->ta", sources[:, -1], sources[:, :-1])
        slope = hyper.slope_spread**2 * walk * L * self.terms.away
        response = (hyper.response[:, None] ** 2 * walk * L)[:, None, :] * self.terms.response.transpose(0, 2, 1)
        return level, slope, response

    def gains(self, hyper: Hyperparameters) -> Gains:
        """Condition on the anchors.

        Args:
            hyper: The hyperparameters.

        Returns:
            The posterior at the target.
        """
        precision = np.linalg.inv(self.covariance(hyper))
        level, slope, response = self.target_covariances(hyper)
        residuals = self.residuals(hyper)
        of_level = self.expected(hyper)[:, :, None] * self._level_slopes(hyper)[:, :-1] @ self.level_law.covariance
        return Gains(
            level=(level[:, None, :] @ precision)[:, 0],
            slope=(slope[:, None, :] @ precision)[:, 0],
            response=response @ precision,
            residuals=residuals,
            theta=self.level_law.centre + np.einsum("tap,tab,tb->tp", of_level, precision, residuals),
        )

    def log_level(self, hyper: Hyperparameters, gains: Gains) -> Array:
        """Compute the posterior mean of log L at the target.

        Args:
            hyper: The hyperparameters.
            gains: The posterior.

        Returns:
            [T].
        """
        away = self.level_law.centre - hyper.theta
        prior = self.level_law.logs(hyper.theta, [self.target])[:, 0]
        shift = np.einsum("tp,tp->t", self._level_slopes(hyper)[:, -1], away)
        return np.asarray(prior + shift + np.sum(gains.level * gains.residuals, axis=1))

    def _level_slopes(self, hyper: Hyperparameters) -> Array:
        """[T, A + 1, 4] d log L / d theta."""
        return self.level_law.slopes(hyper.theta, self.scales)


def _outer(values: Array) -> Array:
    return np.asarray(values[:, :, None] * values[:, None, :])
