"""The objective of a proposal as a function of the columns r, q = E r.

sum_i w_i f_i(E r) + kl KL(E r || reference) + pessimism std(E r)     over a `FeasibleSet`
"""

from dataclasses import dataclass

import numpy as np

from olmix_core.mixture import Array
from olmix_core.proposal.constraints import FeasibleSet
from olmix_core.surrogate.base import Surrogate

_TINY = 1e-15


@dataclass(frozen=True)
class Program:
    """An objective on columns r [d], and the set that r may lie in.

    Attributes:
        surrogate: The fit over m leaves.
        task_weights: [T] weights, which sum to 1.
        reference: [m] KL reference, which sums to 1.
        kl: Strength of the KL term.
        pessimism: Standard deviations of the predicted mean that are added to it.
        feasible: The feasible set.
    """

    surrogate: Surrogate
    task_weights: Array
    reference: Array
    kl: float
    pessimism: float
    feasible: FeasibleSet

    def value(self, r: Array) -> float:
        """Compute the objective.

        Args:
            r: [d] columns.

        Returns:
            BPB, penalties included.
        """
        return float(self.values(r[None])[0])

    def values(self, R: Array) -> Array:
        """Compute the objective at several points.

        Args:
            R: [n, d] columns.

        Returns:
            [n] BPB, penalties included.
        """
        return self.mixture_values(R @ self.feasible.expansion.T)

    def mixture_values(self, Q: Array) -> Array:
        """Compute the objective of several mixtures of leaves.

        Args:
            Q: [n, m] mixtures.

        Returns:
            [n] BPB, penalties included.
        """
        mean = self.surrogate.objective(Q, self.task_weights)
        spread = self.surrogate.objective_stds(Q, self.task_weights) if self.pessimism else 0.0
        return np.asarray(mean + self.kl * self._divergence(Q) + self.pessimism * spread)

    def slope(self, r: Array) -> Array:
        """Differentiate the objective.

        Args:
            r: [d] columns.

        Returns:
            [d] BPB per unit of weight.
        """
        q = self.feasible.expansion @ r
        slope = self.task_weights @ self.surrogate.gradient(q)
        if self.kl:
            possible = self.reference > 0
            ratio = np.maximum(q[possible], _TINY) / self.reference[possible]
            slope[possible] += self.kl * (np.log(ratio) + 1)
        if self.pessimism:
            slope = slope + self.pessimism * self.surrogate.objective_std_gradient(q, self.task_weights)[1]
        return np.asarray(slope @ self.feasible.expansion, dtype=np.float64)

    def _divergence(self, Q: Array) -> Array:
        positive = (self.reference > 0) & (Q > 0)
        ratio = np.where(positive, Q, 1.0) / np.where(self.reference > 0, self.reference, 1.0)
        return np.asarray(np.sum(np.where(positive, Q * np.log(np.where(positive, ratio, 1.0)), 0.0), axis=1))
