"""Learning the hyperparameters of a transfer from its anchors: empirical Bayes under weak priors.

Their priors hold before there is any anchor, and are wide enough for the public swarms that have models of several
sizes: over 60 and 25,000 times the FLOPs, slopes relative to the level are 1.17 on average and differ by 0.2 to 0.4
between tasks. Variances are not taken at their most likely values, which are too small with few anchors, but at their
means under the Laplace approximation.
"""

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize

from olmix_core.blas_threads import one_blas_thread
from olmix_core.mixture import Array
from olmix_core.surrogate.scaling.transfer import Hyperparameters, TransferModel

# Prior mean and standard deviation of u, and of the logs of slope_spread, noise and the tasks' usual response.
_CENTRE = np.array([0.1, np.log(0.2), np.log(0.9), np.log(0.15)])
_SPREAD = np.array([0.2, 0.7, 0.4, 0.4])
_TASK_SPREAD = 0.7  # of the log of a task's response around the usual one
_GLOBAL = len(_CENTRE)
_FARTHEST = 6.0  # prior standard deviations that the search goes from the prior mean
_LINEARISATIONS = 4
_STEP = 1e-4


@one_blas_thread()
def learn(model: TransferModel) -> Hyperparameters:
    """Estimate the hyperparameters.

    Args:
        model: The model.

    Returns:
        The hyperparameters.
    """
    tasks = len(model.base.law.tasks)
    point = np.concatenate([_CENTRE, np.full(tasks, _CENTRE[-1])])
    theta = np.tile(model.level_law.centre, (tasks, 1))
    for _ in range(_LINEARISATIONS if len(model.anchors.X) else 1):
        point = _most_likely(model, point, theta)
        theta = model.gains(_hyperparameters(point, theta)).theta if len(model.anchors.X) else theta
    return _with_mean_variances(model, point, theta)


def _hyperparameters(point: Array, theta: Array) -> Hyperparameters:
    slope_spread, noise = np.exp(point[1:3])
    return Hyperparameters(float(point[0]), 0.0, float(slope_spread), float(noise), np.exp(point[_GLOBAL:]), theta)


def _most_likely(model: TransferModel, point: Array, theta: Array) -> Array:
    if not len(model.anchors.X):
        return point

    def surprise(x: Array) -> tuple[float, Array]:
        return float(_surprises(model, x, theta).sum() + _prior(x)), _slope(model, x, theta)

    # A step of the search may be huge, and covariances of its end singular.
    centres = np.concatenate([_CENTRE, np.full(len(point) - _GLOBAL, _CENTRE[-1])])
    farthest = _FARTHEST * np.concatenate([_SPREAD, np.full(len(point) - _GLOBAL, _TASK_SPREAD)])
    bounds = list(zip(centres - farthest, centres + farthest, strict=True))
    found = minimize(surprise, point, jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(found.x, dtype=np.float64)


def _surprises(model: TransferModel, point: Array, theta: Array) -> Array:
    """[T] negative log marginal likelihood of the anchors, up to a constant."""
    hyper = _hyperparameters(point, theta)
    if not len(model.anchors.X):
        return np.zeros(len(theta))
    roots = np.linalg.cholesky(model.covariance(hyper))
    whitened = np.linalg.solve(roots, model.residuals(hyper)[:, :, None])[:, :, 0]
    return np.asarray(0.5 * np.sum(whitened**2, axis=1) + np.sum(np.log(np.diagonal(roots, axis1=1, axis2=2)), axis=1))


def _prior(point: Array) -> float:
    common = (point[:_GLOBAL] - _CENTRE) / _SPREAD
    tasks = (point[_GLOBAL:] - point[_GLOBAL - 1]) / _TASK_SPREAD
    return float(0.5 * np.sum(common**2) + 0.5 * np.sum(tasks**2))


def _slope(model: TransferModel, point: Array, theta: Array) -> Array:
    """The gradient; tasks do not interact, so that their responses are moved together."""
    tasks = len(point) - _GLOBAL
    gradient = np.zeros(len(point))
    for i in range(_GLOBAL - 1):
        step = _STEP * np.eye(len(point))[i]
        above, below = _surprises(model, point + step, theta), _surprises(model, point - step, theta)
        gradient[i] = np.sum(above - below) / (2 * _STEP)
    step = _STEP * np.concatenate([np.zeros(_GLOBAL), np.ones(tasks)])
    gradient[_GLOBAL:] = (_surprises(model, point + step, theta) - _surprises(model, point - step, theta)) / (2 * _STEP)
    gradient[:_GLOBAL] += (point[:_GLOBAL] - _CENTRE) / _SPREAD**2
    tasks_away = (point[_GLOBAL:] - point[_GLOBAL - 1]) / _TASK_SPREAD**2
    gradient[_GLOBAL:] += tasks_away
    gradient[_GLOBAL - 1] -= tasks_away.sum()
    return gradient


def _with_mean_variances(model: TransferModel, point: Array, theta: Array) -> Hyperparameters:
    """The hyperparameters whose variances are posterior means: of a lognormal, exp(2 mode + 2 variance)."""
    step = 1e-2
    basis = np.eye(len(point))
    information = np.array(
        [_slope(model, point + step * unit, theta) - _slope(model, point - step * unit, theta) for unit in basis]
    ) / (2 * step)
    # The likelihood may tell less than nothing of a direction, by chance; the prior is known.
    prior = _prior_information(len(point))
    values, vectors = np.linalg.eigh((information + information.T) / 2 - prior)
    covariance = np.linalg.inv(prior + (vectors * np.maximum(values, 0.0)) @ vectors.T)
    variances = np.diagonal(covariance)
    raised = point.copy()
    raised[1:] += variances[1:]
    return replace(_hyperparameters(raised, theta), slope_error=float(np.sqrt(variances[0])))


def _prior_information(size: int) -> Array:
    """Second derivatives [size, size] of `_prior`."""
    information = np.diag(np.concatenate([1 / _SPREAD**2, np.full(size - _GLOBAL, 1 / _TASK_SPREAD**2)]))
    information[_GLOBAL - 1, _GLOBAL - 1] += (size - _GLOBAL) / _TASK_SPREAD**2
    information[_GLOBAL - 1, _GLOBAL:] = information[_GLOBAL:, _GLOBAL - 1] = -1 / _TASK_SPREAD**2
    return information
