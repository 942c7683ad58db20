"""The law of a given form that is nearest to given predictions.

The posterior mean at a target is linear in the response of leaves, and would need coefficients below 0 now and then. A
law of the form of the proxies' is fitted to it over the mixtures of the swarm, by least squares in BPB (Gauss-Newton).
Coefficients that these mixtures leave open stay those of the proxies.
"""

import numpy as np
from scipy.optimize import nnls

from olmix_core.mixture import Array
from olmix_core.surrogate.law_surrogate import LawSurrogate

_HELD = 1e-3  # weight of the proxies' coefficients, as a share of the mean information on a coefficient
_ROUNDS = 8  # of Gauss-Newton
_LARGEST_STEP = 1.0  # of a log of the prediction in a round


def nearest_coefficients(law: LawSurrogate, X: Array, decay: Array) -> tuple[Array, Array]:
    """Fit coefficients to predictions.

    Args:
        law: The law of the proxies, of T tasks over m leaves.
        X: [K, m] mixtures.
        decay: [T, K] predictions less c, in BPB.

    Returns:
        b [T] and v [T, m] of the law.
    """
    features = law.law.features(X)
    features = np.broadcast_to(features, (len(law.tasks), *features.shape[-2:]))
    b, v = law.parameters.b.copy(), law.parameters.v.copy()
    for t, values in enumerate(decay):
        b[t] += np.log(max(values.mean(), 1e-9) / np.exp(b[t] + features[t] @ v[t]).mean())
        for _ in range(_ROUNDS):
            logs = b[t] + features[t] @ v[t]
            fitted = np.exp(logs)
            aim = logs + np.clip((values - fitted) / fitted, -_LARGEST_STEP, _LARGEST_STEP)
            b[t], v[t] = _weighted(features[t], aim, fitted, law.parameters.v[t], nonnegative=law.law.nonnegative)
    return b, v


def _weighted(features: Array, aim: Array, weights: Array, held: Array, *, nonnegative: bool) -> tuple[float, Array]:
    """Constant and coefficients of a weighted regression [K], pulled to `held` where it leaves them open."""
    share = weights**2 / np.sum(weights**2)
    centre, mean = share @ features, float(share @ aim)
    root = np.sqrt(share)
    design = root[:, None] * (features - centre)
    pull = np.sqrt(_HELD * np.mean(np.sum(design**2, axis=0)) + 1e-300)
    rows = np.vstack([design, pull * np.eye(design.shape[1])])
    answer = np.concatenate([root * (aim - mean), pull * held])
    solved = nnls(rows, answer)[0] if nonnegative else np.linalg.lstsq(rows, answer, rcond=None)[0]
    return mean - float(centre @ solved), solved
