"""Errors of predictions at the target: of the law of the proxies, of the transfer, and of the anchors' noise.

A prediction at the target is linear in the anchors' residuals, with the weights of `Influence`. Its error is therefore
what the model leaves open at the target less the same of the anchors times these weights, less their noise.
Covariances follow from those of the sources (`transfer`), with what tasks have in common.

Shapes: T tasks, m leaves, A anchors, n mixtures, R sources of error of the law.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from olmix_core.mixture import Array
from olmix_core.surrogate.scaling.base_law import MixtureTerms
from olmix_core.surrogate.scaling.transfer import (
    COMMON_LEVEL,
    COMMON_RESPONSE,
    Gains,
    Hyperparameters,
    TransferModel,
)


@dataclass(frozen=True)
class Influence:
    """How predictions at the target depend on what is not known.

    Attributes:
        level: [T, n] on log L.
        slope: [T, n] on s.
        response: [T, n, m] on d.
        errors: [T, n, R] on the sources of error of the law.
        anchors: [T, n, A] on the residuals of the anchors.
    """

    level: Array
    slope: Array
    response: Array
    errors: Array
    anchors: Array

    def minus(self, other: "Influence") -> "Influence":
        """Compute the influence on differences of predictions.

        Args:
            other: That on one prediction, n = 1.

        Returns:
            The differences.
        """
        return Influence(*(getattr(self, field.name) - getattr(other, field.name) for field in fields(self)))

    def of_tasks(self, tasks: Sequence[int]) -> "Influence":
        """Select tasks.

        Args:
            tasks: Their positions.

        Returns:
            Their influence.
        """
        chosen = list(tasks)
        return Influence(*(getattr(self, field.name)[chosen] for field in fields(self)))


@dataclass(frozen=True)
class TargetErrors:
    """The covariance of predictions at the target.

    Attributes:
        model: The model.
        hyper: Its hyperparameters.
        gains: The posterior.
    """

    model: TransferModel
    hyper: Hyperparameters
    gains: Gains

    @cached_property
    def level(self) -> Array:
        """[T] posterior mean of L at the target."""
        return np.exp(self.model.log_level(self.hyper, self.gains))

    @cached_property
    def slope(self) -> Array:
        """[T] posterior mean of s at the target."""
        prior = 1 + self.hyper.slope * self.model.ramp[-1]
        return np.asarray(prior + np.sum(self.gains.slope * self.gains.residuals, axis=1))

    @cached_property
    def response(self) -> Array:
        """[T, m] posterior mean of d at the target."""
        return np.asarray((self.gains.response @ self.gains.residuals[:, :, None])[:, :, 0])

    def influence(self, terms: MixtureTerms, predicted: Array) -> Influence:
        """Compute the influence on predictions.

        Args:
            terms: Terms of n mixtures.
            predicted: [n, T] their predictions at the target in BPB.

        Returns:
            The influence.
        """
        L = self.level[:, None]
        slope, response = L * terms.away, L[:, :, None] * terms.response
        anchors = (
            predicted.T[:, :, None] * self.gains.level[:, None, :]
            + slope[:, :, None] * self.gains.slope[:, None, :]
            + response @ self.gains.response
        )
        errors = (L * self.slope[:, None])[:, :, None] * terms.errors
        return Influence(predicted.T, slope, response, errors, anchors)

    def variances(self, influence: Influence, weights: Array) -> Array:
        """Compute the variance of the weighted mean over tasks.

        Args:
            influence: The influence on n predictions, or on differences of them.
            weights: [T] weights of the tasks.

        Returns:
            [n] BPB^2.
        """
        tasks = np.flatnonzero(weights)
        shares, chosen = weights[tasks], influence.of_tasks(list(tasks))
        total = shares**2 @ self._own(chosen, tasks)
        total = total + self._common_level(chosen, tasks, shares)
        total = total + self._common_response(chosen, tasks, shares)
        total = total + np.sum(self._law_errors(chosen, tasks, shares) ** 2, axis=1)
        total = total + self._common_slope(chosen, tasks, shares) ** 2
        return np.asarray(total + self._anchor_noise(chosen, tasks, shares), dtype=np.float64)

    def _own(self, influence: Influence, tasks: NDArray[np.intp]) -> Array:
        """[T, n] variances that what tasks do not have in common leaves, anchors considered."""
        model, hyper, walk = self.model, self.hyper, float(self.model.brownian[-1, -1])
        shares = (1 - COMMON_LEVEL, 1.0, 1 - COMMON_RESPONSE)
        among = sum(share * part[tasks] for share, part in zip(shares, model.process_covariance(hyper), strict=True))
        level, slope, response = (
            share * part[tasks] for share, part in zip(shares, model.target_covariances(hyper), strict=True)
        )
        with_target = (
            influence.level[:, :, None] * level[:, None, :]
            + influence.slope[:, :, None] * slope[:, None, :]
            + influence.response @ response
        )
        of_level = np.sum(model.level_sources(hyper)[tasks, -1] ** 2, axis=1)
        of_response = hyper.response[tasks, None] ** 2 * np.sum(influence.response**2, axis=2)
        at_target = (
            shares[0] * influence.level**2 * of_level[:, None]
            + influence.slope**2 * hyper.slope_spread**2 * walk
            + shares[2] * of_response * walk
        )
        anchors = influence.anchors
        left = at_target - 2 * np.sum(anchors * with_target, axis=2) + np.sum((anchors @ among) * anchors, axis=2)
        return np.asarray(np.maximum(left, 0.0))

    def _common_level(self, influence: Influence, tasks: NDArray[np.intp], shares: Array) -> Array:
        """[n] variance that the deviation of the level which all tasks have in common leaves."""
        sources = self.model.level_sources(self.hyper)[tasks]
        of_anchors = self.model.expected(self.hyper)[tasks, :, None] * sources[:, :-1]
        left = influence.level[:, :, None] * sources[:, -1:] - influence.anchors @ of_anchors
        return np.asarray(COMMON_LEVEL * np.sum(np.tensordot(shares, left, axes=1) ** 2, axis=1))

    def _common_response(self, influence: Influence, tasks: NDArray[np.intp], shares: Array) -> Array:
        """[n] variance that the response which all tasks have in common leaves."""
        model, sizes = self.model, shares * self.hyper.response[tasks]
        at_target = np.tensordot(sizes, influence.response, axes=1)
        L = model.levels(self.hyper.theta)[tasks, :-1]
        of_anchors = L[:, :, None] * model.terms.response[tasks]
        at_anchors = -np.einsum("t,tna,tam->nam", sizes, influence.anchors, of_anchors)
        sources = np.concatenate([at_anchors, at_target[:, None]], axis=1)
        moved = np.einsum("ab,nbm->nam", model.brownian, sources)
        return np.asarray(COMMON_RESPONSE * np.sum(moved * sources, axis=(1, 2)))

    def _law_errors(self, influence: Influence, tasks: NDArray[np.intp], shares: Array) -> Array:
        """[n, R] errors of the weighted mean by source."""
        L = self.model.levels(self.hyper.theta)[tasks, :-1]
        of_anchors = (L * (1 + self.hyper.slope * self.model.ramp[:-1]))[:, :, None] * self.model.terms.errors[tasks]
        return np.asarray(np.tensordot(shares, influence.errors - influence.anchors @ of_anchors, axes=1))

    def _common_slope(self, influence: Influence, tasks: NDArray[np.intp], shares: Array) -> Array:
        """[n] error of the weighted mean by the error of u."""
        ramp, L = self.model.ramp, self.model.levels(self.hyper.theta)[tasks, :-1]
        of_anchors = L * ramp[:-1] * self.model.terms.away[tasks]
        errors = influence.slope * ramp[-1] - np.einsum("tna,ta->tn", influence.anchors, of_anchors)
        return np.asarray(self.hyper.slope_error * (shares @ errors))

    def _anchor_noise(self, influence: Influence, tasks: NDArray[np.intp], shares: Array) -> Array:
        """[n] variance by the noise of the anchors, whose tasks correlate as those of proxies."""
        noise = self.hyper.noise * self.model.levels(self.hyper.theta)[tasks, :-1] * self.model.terms.noise[tasks]
        pulls = influence.anchors * (shares[:, None] * noise)[:, None, :]
        correlation = task_correlation(self.model)[np.ix_(tasks, tasks)]
        return np.asarray(np.sum(np.tensordot(correlation, pulls, axes=1) * pulls, axis=(0, 2)))


def task_correlation(model: TransferModel) -> Array:
    """Read the correlation of the tasks of one run off the law.

    Args:
        model: The model.

    Returns:
        [T, T].
    """
    covariance = model.base.law.covariance.noise_covariance
    deviations = np.sqrt(np.maximum(np.diagonal(covariance), 1e-300))
    return np.asarray(covariance / np.outer(deviations, deviations))
