"""The regressors behind the comparison families: from the runs of one task to a predictor of its BPB.

    search            the measured BPB of the nearest run: a mixture is as good as the one most like it
    lightgbm          gradient-boosted trees, with the settings of RegMix (Liu et al. 2024, arXiv 2407.01492)
    gaussian_process  constant x RBF + white kernel, hyper-parameters of greatest likelihood
    bimix             f = sum_j F_j q_j^-alpha_j, F, alpha >= 0 (Ge et al. 2024, arXiv 2405.14908), summed over leaves
    autoscale         f = L + sum_j (n (N_j + q_j))^-gamma_j (Kang et al. 2024, arXiv 2407.20177), n fitted too

Trees and Gaussian processes are those of lightgbm and scikit-learn, which the extra `comparisons` installs. Shapes: X
[K, m] mixtures, y [K] BPB, weights [K] > 0 of the runs, Q [n, m].
"""

import warnings
from collections.abc import Callable

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial import cKDTree

from olmix_core.errors import FitError
from olmix_core.mixture import Array

Predictor = Callable[[Array], Array]

_LEAST_WEIGHT = 1e-12  # keeps q^-alpha finite at q = 0
_LARGEST = 1e6
_EVALUATIONS = 200  # of the law and its slopes


def search(X: Array, y: Array, weights: Array) -> Predictor:
    """The BPB of the nearest measured mixture."""
    tree = cKDTree(X)
    return lambda Q: np.asarray(y[tree.query(Q)[1]], dtype=np.float64)


def lightgbm(X: Array, y: Array, weights: Array) -> Predictor:
    """Boosted trees."""
    try:
        import lightgbm as package
    except ImportError as error:
        raise _missing("lightgbm") from error
    settings = {
        "objective": "regression",
        "learning_rate": 0.01,
        "verbosity": -1,
        "seed": 42,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
    }
    trees = package.train(settings, package.Dataset(X, y, weight=weights), num_boost_round=1000)
    return lambda Q: np.asarray(trees.predict(Q, num_threads=1), dtype=np.float64)


def gaussian_process(X: Array, y: Array, weights: Array) -> Predictor:
    """The posterior mean of a Gaussian process; a run of weight w has the noise of 1 / w of a run."""
    try:
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
    except ImportError as error:
        raise _missing("gaussian_process") from error
    centre, scale = float(y.mean()), float(y.std()) or 1.0
    kernel = ConstantKernel(1.0, (1e-3, 1e3)) * RBF(1.0, (1e-2, 1e2)) + WhiteKernel(0.1, (1e-5, 1e1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a hyper-parameter at its bound, or one of the searches unfinished
        found = GaussianProcessRegressor(kernel, n_restarts_optimizer=1, random_state=0).fit(X, (y - centre) / scale)
    signal, noise = found.kernel_.k1, found.kernel_.k2.noise_level
    precision = np.linalg.solve(signal(X) + np.diag(noise / weights), (y - centre) / scale)
    return lambda Q: np.asarray(centre + scale * (signal(Q, X) @ precision), dtype=np.float64)


def bimix(X: Array, y: Array, weights: Array) -> Predictor:
    """A sum of power laws, one per leaf."""
    m = X.shape[1]
    logs, root = np.log(np.maximum(X, _LEAST_WEIGHT)), np.sqrt(weights)

    def terms(theta: Array, logs: Array) -> Array:
        return np.asarray(theta[:m] * np.exp(np.minimum(-logs * theta[m:], 50.0)))

    def slopes(theta: Array) -> Array:
        powers = np.exp(np.minimum(-logs * theta[m:], 50.0))
        return np.asarray(root[:, None] * np.concatenate([powers, -theta[:m] * powers * logs], axis=1))

    start = np.concatenate([np.full(m, y.mean() / m), np.full(m, 0.1)])

    def residuals(theta: Array) -> Array:
        return np.asarray(root * (terms(theta, logs).sum(axis=1) - y))

    found = least_squares(residuals, start, slopes, bounds=(0.0, _LARGEST), max_nfev=_EVALUATIONS).x
    return lambda Q: np.asarray(terms(found, np.log(np.maximum(Q, _LEAST_WEIGHT))).sum(axis=1))


def autoscale(X: Array, y: Array, weights: Array) -> Predictor:
    """Power laws in the tokens of each leaf, offset by what the other leaves are worth to it."""
    m, root = X.shape[1], np.sqrt(weights)

    def terms(theta: Array, Q: Array) -> Array:
        logs = theta[-1] + np.log(np.exp(theta[:m]) + np.maximum(Q, 0.0))
        return np.asarray(np.exp(np.clip(-theta[m : 2 * m] * logs, -50.0, 50.0)))

    def predict(theta: Array, Q: Array) -> Array:
        return np.asarray(theta[2 * m] + terms(theta, Q).sum(axis=1))

    def slopes(theta: Array) -> Array:
        offsets, powers = np.exp(theta[:m]), terms(theta, X)
        logs = theta[-1] + np.log(offsets + X)
        gammas = theta[m : 2 * m]
        by_offset = -gammas * powers * offsets / (offsets + X)
        by_scale = -(gammas * powers).sum(axis=1)
        columns = [by_offset, -logs * powers, np.ones((len(X), 1)), by_scale[:, None]]
        return np.asarray(root[:, None] * np.concatenate(columns, axis=1))

    # (log N_j, gamma_j, L, log n)
    start = np.concatenate([np.full(m, -np.log(m)), np.full(m, 0.5), [0.1 * y.min(), 2 * np.log(2 * m)]])
    lower = np.concatenate([np.full(m, np.log(_LEAST_WEIGHT)), np.zeros(m + 1), [-20.0]])
    upper = np.concatenate([np.full(m, 20.0), np.full(m, 50.0), [y.min()], [40.0]])

    def residuals(theta: Array) -> Array:
        return np.asarray(root * (predict(theta, X) - y))

    found = least_squares(residuals, start, slopes, bounds=(lower, upper), max_nfev=_EVALUATIONS).x
    return lambda Q: predict(found, Q)


REGRESSORS: dict[str, Callable[[Array, Array, Array], Predictor]] = {
    "search": search,
    "lightgbm": lightgbm,
    "gaussian_process": gaussian_process,
    "bimix": bimix,
    "autoscale": autoscale,
}
SMOOTH = ("gaussian_process", "bimix", "autoscale")  # those with slopes to follow


def _missing(family: str) -> FitError:
    return FitError(
        f"family {family!r}: a package that it needs is not installed; expected: pip install 'olmix-flows[comparisons]'"
    )
