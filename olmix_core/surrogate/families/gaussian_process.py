"""A Gaussian process: constant x RBF + white kernel, hyper-parameters of greatest likelihood."""

import warnings

import numpy as np

from olmix_core.mixture import Array
from olmix_core.surrogate.families.regressors import regressor_family
from olmix_core.surrogate.refits import Predictor, Regressor
from olmix_core.surrogate.registry import FAMILIES


def gaussian_process(X: Array, y: Array, weights: Array) -> Predictor:
    """Compute the posterior mean; a run of weight w has the noise of 1 / w of a run.

    Args:
        X: [K, m] mixtures.
        y: [K] BPB.
        weights: [K] weights > 0 of the runs.

    Returns:
        A predictor of mixtures [n, m].
    """
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    centre, scale = float(y.mean()), float(y.std()) or 1.0
    kernel = ConstantKernel(1.0, (1e-3, 1e3)) * RBF(1.0, (1e-2, 1e2)) + WhiteKernel(0.1, (1e-5, 1e1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a hyper-parameter at its bound, or one of the searches unfinished
        fitted = GaussianProcessRegressor(kernel, n_restarts_optimizer=1, random_state=0).fit(X, (y - centre) / scale)
    signal, noise = fitted.kernel_.k1, fitted.kernel_.k2.noise_level
    precision = np.linalg.solve(signal(X) + np.diag(noise / weights), (y - centre) / scale)
    return lambda Q: np.asarray(centre + scale * (signal(Q, X) @ precision), dtype=np.float64)


FAMILIES.register(
    regressor_family(
        Regressor("gaussian_process", gaussian_process, extra="comparisons"), "posterior mean of a Gaussian process"
    )
)
