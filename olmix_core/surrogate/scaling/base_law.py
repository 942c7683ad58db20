"""The law at the scale of the proxies, and what it says of mixtures that are carried to another scale.

Shapes: T tasks, m leaves, n mixtures, R sources of error of the law (runs and units of its prior).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from olmix_core.mixture import Array
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.scaling.scale import Scale


@dataclass(frozen=True)
class MixtureTerms:
    """What the law at the base scale says of n mixtures.

    Attributes:
        away: [T, n] f - f_0 in BPB.
        response: [T, n, m] h, scaled to the spread of f over the swarm.
        errors: [T, n, R] errors of f in BPB by source.
        noise: [T, n] noise of a run in BPB.
    """

    away: Array
    response: Array
    errors: Array
    noise: Array


@dataclass(frozen=True)
class BaseLaw:
    """The law at the base scale, and the terms of mixtures under it.

    Attributes:
        law: The law.
        scale: Its scale.
    """

    law: LawSurrogate
    scale: Scale

    @cached_property
    def centre(self) -> Array:
        """[T] f_0 in BPB."""
        return np.asarray(self.law.predict(self.law.trained_mixtures).mean(axis=0))

    @cached_property
    def features(self) -> Array:
        """[T, m] phi_0, mean features of the runs."""
        return np.asarray(self._features(self.law.trained_mixtures).mean(axis=1))

    @cached_property
    def response_scale(self) -> Array:
        """[T] factor that scales h to the spread of f over the swarm."""
        X = self.law.trained_mixtures
        norms = np.sqrt(np.mean(np.sum(self._raw_response(X) ** 2, axis=2), axis=1))
        return np.asarray(self.law.predict(X).std(axis=0) / np.maximum(norms, 1e-300))

    def terms(self, Q: Array) -> MixtureTerms:
        """Compute the terms of mixtures.

        Args:
            Q: [n, m] mixtures.

        Returns:
            Their terms.
        """
        return MixtureTerms(
            away=(self.law.predict(Q) - self.centre).T,
            response=self._raw_response(Q) * self.response_scale[:, None, None],
            errors=np.concatenate(self.law.covariance.prediction_deviations(Q), axis=2),
            noise=self.law.noise(Q).T,
        )

    def _features(self, Q: Array) -> Array:
        features = self.law.law.features(Q)
        return np.broadcast_to(features, (len(self.law.tasks), *features.shape[-2:]))

    def _raw_response(self, Q: Array) -> Array:
        decay = self.law.parameters.decay(self.law.law.features(Q)).T
        return np.asarray(decay[:, :, None] * (self._features(Q) - self.features[:, None, :]))
