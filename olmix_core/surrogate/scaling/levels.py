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
_STEP = 1e-5  # of theta, for slopes


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
        sizes = np.log([scale.parameters / self.base.parameters for scale in scales])
        tokens = np.log([scale.tokens / self.base.tokens for scale in scales])
        share, size = expit(theta[:, :1]), expit(theta[:, 1:2])
        alpha, beta = np.exp(theta[:, 2:3]), np.exp(theta[:, 3:])
        rest = size * np.exp(-alpha * sizes) + (1 - size) * np.exp(-beta * tokens)
        return np.asarray(np.log(share + (1 - share) * rest), dtype=np.float64)

    def slopes(self, theta: Array, scales: Sequence[Scale]) -> Array:
        """Differentiate `logs`.

        Args:
            theta: [T, 4].
            scales: [n] scales.

        Returns:
            [T, n, 4].
        """
        steps = _STEP * np.eye(4)
        pairs = [(self.logs(theta + step, scales), self.logs(theta - step, scales)) for step in steps]
        return np.stack([(above - below) / (2 * _STEP) for above, below in pairs], axis=2)
