"""A truth at two scales: that of the proxies, and that of a target where levels, slopes and responses differ."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from olmix_core.mixture import Array
from olmix_core.surrogate.fit import fit_law
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.scaling.anchors import Anchors
from olmix_core.surrogate.scaling.levels import LevelLaw
from olmix_core.surrogate.scaling.scale import Scale
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.test_problems import Problem, diminishing_returns

BASE = Scale(1e6, 2e7)
TARGET = Scale(3e7, 6e8)
NOISE = 0.005


@dataclass(frozen=True)
class ScaledTruth:
    """A truth over m leaves and T tasks.

    Attributes:
        problem: The truth at the base scale.
        level: [T] L at the target.
        slope: [T] s at the target.
        changes: [T, m] what is added to the coefficients at the target; none falls below 0.
    """

    problem: Problem
    level: Array
    slope: Array
    changes: Array

    @cached_property
    def centre(self) -> Array:
        """[T] mean of the truth at the base scale."""
        return np.asarray(self.problem.bpb(self.problem.mixtures(400, seed=7)).mean(axis=0))

    def at_target(self, Q: Array) -> Array:
        """Compute the truth at the target, [n, T] BPB."""
        parameters = self.problem.parameters
        changed = replace(self.problem, parameters=replace(parameters, v=np.maximum(parameters.v + self.changes, 0.0)))
        moved = changed.bpb(Q) - changed.bpb(self.problem.mixtures(400, seed=7)).mean(axis=0)
        return np.asarray(self.level * (self.centre + self.slope * moved))

    def measured(self, Q: Array, seed: int) -> Array:
        """Measure runs at the target with noise, [n, T] BPB."""
        noise = np.random.default_rng([seed, 2]).normal(0.0, self.problem.noise, (len(Q), len(self.level)))
        return np.asarray(self.at_target(Q) + self.level * noise)

    def anchors(self, count: int, seed: int, scale: Scale = TARGET) -> Anchors:
        """Train anchors that measure the truth at the target."""
        Q = self.problem.mixtures(count, seed=seed + 1000)
        return Anchors(Q, self.measured(Q, seed), (scale,) * count)

    def law(self, runs: int = 40, seed: int = 0) -> LawSurrogate:
        """Fit the law of a swarm at the base scale."""
        settings = FitSettings(family=self.problem.law.family, gamma=self.problem.law.common_gamma, ridge=1e-6)
        return fit_law(self.problem.evidence(runs, seed), settings)


def scaled_truth(seed: int = 0, *, leaves: int = 5, tasks: int = 3, change: float = 0.0) -> ScaledTruth:
    """Draw a truth whose levels fall about as published, and whose slopes relative to them are about 1.1.

    Args:
        seed: Seed of the draw.
        leaves: Number of leaves m.
        tasks: Number of tasks T.
        change: Standard deviation of the changes of coefficients.
    """
    random = np.random.default_rng([seed, 3])
    law = LevelLaw(BASE)
    away = np.sqrt(np.diagonal(law.covariance)) * (
        0.7 * random.standard_normal(4) + 0.2 * random.standard_normal((tasks, 4))
    )
    return ScaledTruth(
        diminishing_returns(leaves, tasks, seed=seed).with_noise(NOISE),
        level=np.exp(law.logs(law.centre + away, [TARGET])[:, 0]),
        slope=1.1 + 0.15 * random.standard_normal(tasks),
        changes=change * random.standard_normal((tasks, leaves)),
    )
