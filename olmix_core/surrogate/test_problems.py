"""Synthetic truths: swarms whose law, noise and best mixture are known.

A problem fixes the law of every task and the best mixture q*, and derives from them the natural distribution under
which q* is exactly optimal: without caps, the proposal's objective sum_i w_i f_i(q) + kl KL(q || natural) is stationary
on the simplex at q* when

    natural_j  proportional to  q*_j exp( sum_i w_i d f_i / d q_j (q*) / kl )

so that a proposal can be compared with an optimum that no solver computed.
"""

from dataclasses import dataclass, replace

import numpy as np

from olmix_core.mixture import Array
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.regression.laws import DIMINISHING_RETURNS, LOG_LINEAR, Law, Parameters


@dataclass(frozen=True)
class Problem:
    """A truth over m leaves and T tasks.

    Attributes:
        law: Form of the law.
        parameters: Parameters of every task.
        leaves: [m] names.
        tasks: [T] names.
        natural: [m] natural mixture.
        optimum: [m] the best mixture for equal task weights and `kl` to `natural`.
        kl: Strength of the KL term.
        useless: Tasks that no mixture moves.
        harmful: Leaves that raise every other task.
        noise: Standard deviation in BPB of the noise of one task of a run.
        shared_noise: Standard deviation in BPB of the noise that all tasks of a run share.
    """

    law: Law
    parameters: Parameters
    leaves: tuple[str, ...]
    tasks: tuple[str, ...]
    natural: Array
    optimum: Array
    kl: float
    useless: tuple[str, ...]
    harmful: tuple[str, ...]
    noise: float = 0.0
    shared_noise: float = 0.0

    def with_noise(self, noise: float, shared: float = 0.0) -> "Problem":
        """Add noise to measurements.

        Args:
            noise: Standard deviation in BPB of the noise of one task of a run.
            shared: Standard deviation in BPB of the noise that all tasks of a run share.

        Returns:
            The same truth with that noise.
        """
        return replace(self, noise=noise, shared_noise=shared)

    def bpb(self, Q: Array) -> Array:
        """Compute the true BPB.

        Args:
            Q: [n, m] mixtures.

        Returns:
            [n, T] BPB.
        """
        return self.parameters.predict(self.law.features(Q))

    def objective(self, Q: Array) -> Array:
        """Compute the true mean BPB with the KL penalty.

        Args:
            Q: [n, m] mixtures.

        Returns:
            [n] BPB.
        """
        ratio = np.where(Q > 0, Q, 1.0) / self.natural
        divergence = np.sum(Q * np.log(ratio), axis=1)
        return np.asarray(self.bpb(Q).mean(axis=1) + self.kl * divergence, dtype=np.float64)

    def mixtures(self, count: int, seed: int) -> Array:
        """Draw mixtures, half of them over all leaves and half over a few.

        Args:
            count: Number of mixtures.
            seed: Seed of the draw.

        Returns:
            [count, m] mixtures.
        """
        random = np.random.default_rng(seed)
        m = len(self.leaves)
        Q = random.dirichlet(np.full(m, 1.0), size=count)
        sparse = Q * (random.random(Q.shape) < 0.4)
        sparse[:, 0] += 1e-3
        Q[::2] = (sparse / sparse.sum(axis=1, keepdims=True))[::2]
        return Q

    def evidence(self, runs: int, seed: int) -> SwarmData:
        """Measure a swarm with the problem's noise.

        Args:
            runs: Number of runs.
            seed: Seed of mixtures and noise.

        Returns:
            The runs.
        """
        random = np.random.default_rng([seed, 1])
        X = self.mixtures(runs, seed)
        own = self.noise * random.standard_normal((runs, len(self.tasks)))
        shared = self.shared_noise * random.standard_normal((runs, 1))
        Y = np.maximum(self.bpb(X) + own + shared, 1e-3)
        return SwarmData(X, Y, tuple(f"run{k:04d}" for k in range(runs)), self.leaves, self.tasks)


def log_linear(
    leaves: int = 8, tasks: int = 6, *, harmful: int = 0, useless: int = 0, kl: float = 0.05, seed: int = 0
) -> Problem:
    """Make a problem with f = c + exp(A . q), where some leaves help each task.

    Args:
        leaves: Number of leaves, m.
        tasks: Number of tasks, T.
        harmful: Number of leaves, the last ones, that raise every task.
        useless: Number of tasks, the last ones, that no mixture moves.
        kl: Strength of the KL term.
        seed: Seed of the parameters.

    Returns:
        The problem, without noise.
    """
    random = np.random.default_rng([seed, leaves, tasks])
    v = -random.exponential(0.6, (tasks, leaves))
    v[:, leaves - harmful :] = random.uniform(0.5, 1.0, (tasks, harmful))
    v[tasks - useless :] = 0.0
    return _problem(Law(LOG_LINEAR), v, random, kl, useless, harmful)


def diminishing_returns(
    leaves: int = 8, tasks: int = 6, *, gamma: float = 0.6, useless: int = 0, kl: float = 0.05, seed: int = 0
) -> Problem:
    """Make a problem with f = c + exp(b - a . q^gamma), a >= 0, where half of the leaves move each task.

    Args:
        leaves: Number of leaves, m.
        tasks: Number of tasks, T.
        gamma: Power of the law.
        useless: Number of tasks, the last ones, that no mixture moves.
        kl: Strength of the KL term.
        seed: Seed of the parameters.

    Returns:
        The problem, without noise.
    """
    random = np.random.default_rng([seed, leaves, tasks])
    v = random.exponential(0.8, (tasks, leaves)) * (random.random((tasks, leaves)) < 0.5)
    v[tasks - useless :] = 0.0
    return _problem(Law(DIMINISHING_RETURNS, gamma), v, random, kl, useless, 0)


def _problem(law: Law, v: Array, random: np.random.Generator, kl: float, useless: int, harmful: int) -> Problem:
    """Draw c, b and q*, and derive the natural distribution that makes q* optimal."""
    tasks, leaves = v.shape
    c = np.asarray(random.uniform(0.5, 1.0, size=tasks))
    b = np.asarray(random.uniform(-0.3, 0.5, size=tasks))
    parameters = Parameters(c, b, v)
    if law.gamma is None:  # A = b + v
        parameters = Parameters(c, np.zeros(tasks), v + b[:, None])
    optimum = random.dirichlet(np.full(leaves, 2.0))
    decay = parameters.decay(law.features(optimum[None]))[0]
    slope = np.mean(decay[:, None] * parameters.v, axis=0) * law.slopes(optimum)
    natural = optimum * np.exp((slope - slope.max()) / kl)
    names = tuple(f"leaf{j:03d}" for j in range(leaves))
    task_names = tuple(f"task{t:02d}" for t in range(tasks))
    return Problem(
        law=law,
        parameters=parameters,
        leaves=names,
        tasks=task_names,
        natural=natural / natural.sum(),
        optimum=optimum,
        kl=kl,
        useless=task_names[tasks - useless :],
        harmful=names[leaves - harmful :],
    )
