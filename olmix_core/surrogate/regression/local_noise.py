"""How the noise of a run depends on its mixture: mixtures of high BPB often scatter more than moderate ones.

With y - c the part of the BPB that the mixture moves, the noise of task t at a mixture is::

    s_t ((y - c) / usual_t)^power

The power, from 0 (the same noise everywhere) to 1 (the same in logs), is common to all tasks. It is the one that makes
their residuals most likely. Below the lowest and above the highest run the noise no longer changes.

Shapes: n mixtures, K runs, T tasks.
"""

from dataclasses import dataclass

import numpy as np

from olmix_core.mixture import Array

_POWERS = np.linspace(0.0, 1.0, 11)


@dataclass(frozen=True)
class LocalNoise:
    """The factor on the noise of a run, as a function of y - c in BPB.

    Attributes:
        power: Power of y - c.
        usual: [T] y - c at which the noise is that of the fit.
        least: [T] y - c of the lowest run, below which the noise falls no further.
        most: [T] y - c of the highest run, above which it grows no further.
    """

    power: float
    usual: Array
    least: Array
    most: Array

    @classmethod
    def of_runs(cls, decay: Array, residuals: Array, weights: Array) -> "LocalNoise":
        """Learn it from the runs.

        Args:
            decay: [K, T] fitted y - c of the runs in BPB.
            residuals: [K, T] their residuals in BPB, each divided by the root of 1 - leverage.
            weights: [K, T] weights of the runs in the covariance of the noise; 0 where a run was not evaluated.

        Returns:
            The factor, whose weighted mean square over the runs is 1.
        """
        seen = weights > 0
        logs = np.where(seen, np.log(np.maximum(decay, 1e-300)), 0.0)
        count = np.maximum(seen.sum(axis=0), 1)
        least = np.where(seen, decay, np.inf).min(axis=0, initial=np.inf)
        most = np.where(seen, decay, 0.0).max(axis=0, initial=0.0)
        moved = most > least  # a constant law says nothing of the power

        def surprise(power: float) -> float:
            squares = np.sum(np.where(seen, (residuals * np.exp(-power * logs)) ** 2, 0.0), axis=0)
            each = 0.5 * count * np.log(np.maximum(squares / count, 1e-300)) + power * logs.sum(axis=0)
            return float(each[moved].sum())

        power = float(min(_POWERS, key=surprise))
        share = weights / np.maximum(weights.sum(axis=0), 1e-300)
        middle = logs.max(axis=0, initial=0.0)  # keeps the exponentials finite
        mean = np.sum(share * np.exp(2 * power * (logs - middle)), axis=0)
        usual = np.exp(middle + (np.log(np.maximum(mean, 1e-300)) / (2 * power) if power else 0.0))
        return cls(power, np.asarray(usual), least, most)

    def scales(self, decay: Array) -> Array:
        """Compute the factors.

        Args:
            decay: [n, T] predicted y - c in BPB.

        Returns:
            [n, T].
        """
        return np.asarray((np.clip(decay, self.least, self.most) / self.usual) ** self.power)
