"""How the level of a loss depends on parameters N and tokens D, relative to a base scale.

    L(N, D) / L(N0, D0) = e + (1 - e) (k (N / N0)^-alpha + (1 - k) (D / D0)^-beta)

(Hoffmann et al. 2022, arXiv 2203.15556: L = E + A / N^alpha + B / D^beta.) The share e that no scale removes,
the share k of the model's size in the rest, and the exponents are those of the published law at the base scale, under
wide priors: tasks in bits per byte have floors and slopes of their own.

Shapes: T tasks, n scales. A point theta is [..., 4]: logit e, logit k, log alpha, log beta.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from olmix_core.mixture import Array
from olmix_core.surrogate.scaling.scale import Scale

# Hoffmann et al. 2022, equation 10, in nats per token.
_E, _A, _ALPHA, _B, _BETA = 1.69, 406.4, 0.34, 410.7, 0.28
_SPREADS = np.array([1.0, 1.0, 0.3, 0.3])  # standard deviations of theta


@dataclass(frozen=True)
class LevelLaw:
    """The prior of the level of every task, relative to a base scale.

    Attributes:
        base: The base scale.
    """

    base: Scale

    @property
    def centre(self) -> Array:
        """[4] theta of the published law."""
        of_size, of_tokens = _A * self.base.parameters**-_ALPHA, _B * self.base.tokens**-_BETA
        share, size = _E / (_E + of_size + of_tokens), of_size / (of_size + of_tokens)
        return np.array([logit(share), logit(size), np.log(_ALPHA), np.log(_BETA)])

    @property
    def covariance(self) -> Array:
        """[4, 4] prior covariance of theta."""
        return np.diag(_SPREADS**2)

    def logs(self, theta: Array, scales: Sequence[Scale]) -> Array:
        """Compute the log of L(N, D) / L(N0, D0).

        Args:
            theta: [T, 4].
            scales: [n] scales.

        Returns:
            [T, n].
        """
        share, _, (of_size, of_tokens), _ = self._parts(theta, scales)
        return np.asarray(np.log(share + (1 - share) * (of_size + of_tokens)), dtype=np.float64)

    def slopes(self, theta: Array, scales: Sequence[Scale]) -> Array:
        """Differentiate `logs`.

        Args:
            theta: [T, 4].
            scales: [n] scales.

        Returns:
            [T, n, 4].
        """
        share, size, (of_size, of_tokens), (size_log, tokens_log) = self._parts(theta, scales)
        rest = of_size + of_tokens
        by_share = share * (1 - rest)
        by_size = (1 - size) * of_size - size * of_tokens
        slopes = np.stack([by_share, by_size, of_size * size_log, of_tokens * tokens_log], axis=2)
        return np.asarray(slopes * ((1 - share) / (share + (1 - share) * rest))[:, :, None], dtype=np.float64)

    def _parts(
        self, theta: Array, scales: Sequence[Scale]
    ) -> tuple[Array, Array, tuple[Array, Array], tuple[Array, Array]]:
        """[T, 1] e and k, and [T, n] the terms of N and D in the bracket and their logs without k and 1 - k."""
        sizes = np.log([scale.parameters / self.base.parameters for scale in scales])
        tokens = np.log([scale.tokens / self.base.tokens for scale in scales])
        share, size = expit(theta[:, :1]), expit(theta[:, 1:2])
        logs = (-np.exp(theta[:, 2:3]) * sizes, -np.exp(theta[:, 3:]) * tokens)
        return share, size, (size * np.exp(logs[0]), (1 - size) * np.exp(logs[1])), logs
