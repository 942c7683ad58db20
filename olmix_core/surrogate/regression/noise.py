"""The noise of one run: its scatter around the law on each task, and how the tasks of one run go together.

The variance of a task is the residual sum of squares over the residual degrees of freedom, with the leverages h of the
fit itself (Wahba 1983, J. R. Stat. Soc. B 45, 133-150)::

    s_t^2 = sum_k w_kt r_kt^2 / sum_k w_kt (1 - h_kt)

The correlation of two tasks is estimated from the runs that were measured on both, since often no run is measured on
all tasks. With z_kt = r_kt / (s_t sqrt(1 - h_kt)), it is the mean of z_ks z_kt over the n common runs, which has a
sampling variance of (1 + rho^2) / n. It is shrunk towards the mean correlation of all pairs, as far as this variance
explains how the pairs differ. A pair without common runs has the mean correlation. If hardly any run is measured on two
tasks, nothing is known of correlations, and tasks are taken to err together: the noise of their mean is then an upper
bound.

Shapes: K runs, T tasks.
"""

import numpy as np
from numpy.typing import NDArray

from olmix_core.mixture import Array
from olmix_core.surrogate.regression.leverage import MOST_LEVERAGE

FEWEST_COMMON = 4  # runs measured on two tasks that tell something of correlations


def noise_covariance(residuals: Array, leverage: Array, weights: Array) -> Array:
    """Estimate the covariance of the tasks of one run around a fit.

    Args:
        residuals: [K, T] f - y in BPB.
        leverage: [K, T] leverages of the runs in the fit of each task.
        weights: [K, T] weights of the runs; 0 where a run was not evaluated.

    Returns:
        [T, T] covariance in BPB^2.
    """
    kept = np.maximum(1 - leverage, 1 - MOST_LEVERAGE)
    freedom = np.maximum(np.sum(weights * kept, axis=0), 1e-300)
    noise = np.sqrt(np.sum(weights * residuals**2, axis=0) / freedom)
    standardised = residuals / (np.sqrt(kept) * np.where(noise > 0, noise, 1.0))
    return np.asarray(noise[:, None] * _correlations(standardised, weights > 0) * noise, dtype=np.float64)


def pairs_without_common_runs(seen: NDArray[np.bool_]) -> int:
    """Count the pairs of tasks whose correlation the runs tell nothing of.

    Args:
        seen: [K, T] where a run was evaluated.

    Returns:
        Number of pairs with fewer than FEWEST_COMMON common runs.
    """
    count = seen.astype(float)
    return int(np.count_nonzero(np.triu(count.T @ count < FEWEST_COMMON, k=1)))


def has_common_runs(seen: NDArray[np.bool_]) -> bool:
    """Check whether correlations of tasks can be estimated.

    Args:
        seen: [K, T] where a run was evaluated.

    Returns:
        True if at least FEWEST_COMMON runs were measured on two tasks or more.
    """
    return bool(np.count_nonzero(seen.sum(axis=1) > 1) >= FEWEST_COMMON)


def _correlations(standardised: Array, seen: NDArray[np.bool_]) -> Array:
    """Correlations [T, T] of standardised residuals [K, T], shrunk towards their mean."""
    tasks = standardised.shape[1]
    if tasks == 1 or not has_common_runs(seen):
        return np.ones((tasks, tasks))
    z = np.where(seen, standardised, 0.0)
    pairs = np.triu_indices(tasks, k=1)
    common, products = (seen.astype(float).T @ seen)[pairs], (z.T @ z)[pairs]
    mean = np.clip(products.sum() / common.sum(), 0.0, 1.0)
    each = products / np.maximum(common, 1.0)
    sampling = (1 + mean**2) / np.maximum(common, 1.0)
    between = np.sum(common * ((each - mean) ** 2 - sampling)) / common.sum()
    kept = np.where(common > 0, max(between, 0.0) / (max(between, 0.0) + sampling), 0.0)
    together = np.eye(tasks)
    together[pairs] = np.clip(mean + kept * (each - mean), -1.0, 1.0)
    together += np.triu(together, k=1).T
    values, vectors = np.linalg.eigh(together)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    root /= np.maximum(np.linalg.norm(root, axis=1, keepdims=True), 1e-300)
    return np.asarray(root @ root.T)


def noise_covariance_of_errors(errors: Array, leverage: Array, weights: Array) -> Array:
    """Estimate the covariance from leave-one-out errors, as version 0.1.0 did, for laws stored by it.

    Variances are 13 to 19 % too low where runs are few, and correlations are those of runs measured on all tasks.

    Args:
        errors: [K, T] leave-one-out residuals in BPB; 0 where a run was not evaluated.
        leverage: [K, T] leverages of the runs under the prior of the covariance.
        weights: [K, T] weights of the runs; 0 where a run was not evaluated.

    Returns:
        [T, T] covariance in BPB^2.
    """
    kept = np.maximum(1 - leverage, 1 - MOST_LEVERAGE)
    total = np.maximum(weights.sum(axis=0), 1e-300)
    noise = np.sqrt(np.sum(weights * errors**2 * kept, axis=0) / total)
    together = np.eye(len(noise))
    complete = np.all(weights > 0, axis=1)
    if complete.any():
        scaled = errors[complete] * np.sqrt(kept[complete])
        scaled = scaled / np.maximum(np.sqrt(np.sum(scaled**2, axis=0)), 1e-300)
        together = scaled.T @ scaled
        np.fill_diagonal(together, 1.0)
    return np.asarray(noise[:, None] * together * noise, dtype=np.float64)
