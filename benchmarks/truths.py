"""Truths to simulate proxies from: models fitted to all runs of a released swarm, two of them of a class of our own.

- `log_linear`, `diminishing_returns`: the two laws;
- `gaussian_process`: around the mean of both laws, over the square roots of the weights;
- `neural_network`: one hidden layer over the square roots of the weights, for the logs of the BPB;
- `saturating`: logs that fall with a Hill function of each weight above a threshold, and with products of weights.
"""

import warnings
from collections.abc import Callable

import numpy as np
from scipy.optimize import nnls
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.neural_network import MLPRegressor

from olmix_core.mixture import Array
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import fit_law
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.settings import FitSettings

Truth = Callable[[Array], Array]  # mixtures [n, m] to BPB [n, T]
_PAIRS = 48  # products of weights in `saturating`
_FLOOR = 0.8  # share of the least BPB of a task that no mixture removes, in `saturating`


def fitted_law(family: str, swarm: SwarmData) -> LawSurrogate:
    """One of the two laws, without a prior."""
    return fit_law(swarm, FitSettings(family=family))


def gaussian_process(swarm: SwarmData) -> Truth:
    """A Gaussian process over the square roots of the weights, one kernel for all tasks, around the mean of both laws.

    By itself it promises less than half of the lowest BPB seen where there are no runs; so it says what the laws miss
    where there are some, and falls back on them elsewhere.
    """
    laws = [fitted_law(family, swarm) for family in ("log_linear", "diminishing_returns")]

    def centre(Q: Array) -> Array:
        return np.asarray(np.mean([law.predict(Q) for law in laws], axis=0))

    missed = swarm.Y - centre(swarm.X)
    scale = missed.std(axis=0)
    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * RBF(0.3, (5e-2, 1.0)) + WhiteKernel(0.5, (1e-3, 1.0))
    process = GaussianProcessRegressor(kernel, random_state=0).fit(np.sqrt(swarm.X), missed / scale)
    return lambda Q: centre(Q) + process.predict(np.sqrt(np.maximum(Q, 0.0))) * scale


def neural_network(swarm: SwarmData) -> Truth:
    """A network of one hidden layer for the logs of the BPB."""
    logs = np.log(swarm.Y)
    mean, scale = logs.mean(axis=0), logs.std(axis=0)
    network = MLPRegressor(
        hidden_layer_sizes=(64,), activation="tanh", alpha=0.03, solver="lbfgs", max_iter=3000, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # any network is a truth
        network.fit(np.sqrt(swarm.X), (logs - mean) / scale)
    return lambda Q: np.asarray(np.exp(mean + scale * network.predict(np.sqrt(np.maximum(Q, 0.0)))))


def saturating(swarm: SwarmData) -> Truth:
    """c + exp(b - a . h(q) - w . sqrt(q_i q_j)), where h is 0 below a threshold and then saturates."""
    random, m = np.random.default_rng(0), len(swarm.leaves)
    thresholds, half = random.uniform(0.0, 0.01, m), random.uniform(0.02, 0.3, m)
    first, second = random.integers(m, size=(2, _PAIRS))

    def features(Q: Array) -> Array:
        above = np.maximum(Q - thresholds, 0.0)
        return np.hstack([above / (above + half), np.sqrt(np.maximum(Q[:, first] * Q[:, second], 0.0))])

    floor = _FLOOR * swarm.Y.min(axis=0)
    logs, design = np.log(swarm.Y - floor), features(swarm.X)
    centre, mean = design.mean(axis=0), logs.mean(axis=0)
    damped = np.vstack([design - centre, 0.2 * np.eye(len(centre))])
    slopes = [nnls(damped, np.append(mean[t] - logs[:, t], np.zeros(len(centre))))[0] for t in range(len(mean))]
    return lambda Q: np.asarray(floor + np.exp(mean - (features(Q) - centre) @ np.array(slopes).T))


TRUTHS: dict[str, Callable[[SwarmData], Truth]] = {
    "log_linear": lambda swarm: fitted_law("log_linear", swarm).predict,
    "diminishing_returns": lambda swarm: fitted_law("diminishing_returns", swarm).predict,
    "gaussian_process": gaussian_process,
    "neural_network": neural_network,
    "saturating": saturating,
}


def noise_of_runs(swarm: SwarmData) -> Array:
    """Residuals [K, T] of real runs, made larger by what the parameters of a law took out of them."""
    residuals = swarm.Y - fitted_law("diminishing_returns", swarm).predict(swarm.X)
    runs, parameters = len(swarm.runs), len(swarm.leaves) + 2
    noise: Array = residuals * np.sqrt(runs / (runs - parameters))
    return noise
