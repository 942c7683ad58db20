"""Each regressor recovers a truth of its own kind."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from olmix_core.surrogate.families.autoscale import autoscale
from olmix_core.surrogate.families.bimix import bimix
from olmix_core.surrogate.families.gaussian_process import gaussian_process
from olmix_core.surrogate.families.lightgbm import lightgbm
from olmix_core.surrogate.families.search import search

REGRESSORS = {regressor.__name__: regressor for regressor in (search, lightgbm, gaussian_process, bimix, autoscale)}


def mixtures(count: int, leaves: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(leaves), count)


def test_search_returns_the_bpb_of_the_nearest_run() -> None:
    X = mixtures(20, 4, 0)
    y = np.arange(20.0) + 1
    predict = search(X, y, np.ones(20))
    assert predict(X).tolist() == y.tolist()
    assert predict(X[3:4] + 1e-6)[0] == y[3]


def test_power_laws_are_recovered() -> None:
    X, Q = mixtures(120, 3, 0), mixtures(50, 3, 1)
    scales, powers = np.array([0.3, 0.2, 0.5]), np.array([0.2, 0.4, 0.1])

    def truth(X: np.ndarray) -> np.ndarray:
        return np.sum(scales * X**-powers, axis=1)

    assert bimix(X, truth(X), np.ones(120))(Q) == pytest.approx(truth(Q), rel=1e-3)


def test_offset_power_laws_are_recovered() -> None:
    X, Q = mixtures(120, 3, 0), mixtures(50, 3, 1)
    offsets, powers = np.array([0.1, 0.3, 0.2]), np.array([0.3, 0.5, 0.4])

    def truth(X: np.ndarray) -> np.ndarray:
        return 0.4 + np.sum((8 * (offsets + X)) ** -powers, axis=1)

    assert autoscale(X, truth(X), np.ones(120))(Q) == pytest.approx(truth(Q), rel=2e-3)


def test_smooth_functions_are_interpolated() -> None:
    X, Q = mixtures(100, 3, 0), mixtures(50, 3, 1)

    def truth(X: np.ndarray) -> np.ndarray:
        return 1 + 0.3 * np.sin(3 * X[:, 0]) + X[:, 1] * X[:, 2]

    assert np.abs(gaussian_process(X, truth(X), np.ones(100))(Q) - truth(Q)).max() < 0.01


def test_trees_recover_steps() -> None:
    X, Q = mixtures(400, 3, 0), mixtures(100, 3, 1)
    y = np.where(X[:, 0] > 0.5, 1.0, 2.0)
    away = np.abs(Q[:, 0] - 0.5) > 0.05
    assert np.abs(lightgbm(X, y, np.ones(400))(Q)[away] - np.where(Q[away, 0] > 0.5, 1.0, 2.0)).max() < 0.1


@pytest.mark.parametrize("family", ["bimix", "autoscale", "gaussian_process"])
def test_a_light_run_counts_less(family: str) -> None:
    X = mixtures(60, 3, 0)
    y = 1 + X[:, 0]
    y[0] += 0.5
    light = np.where(np.arange(60) == 0, 1e-3, 1.0)
    error = [abs(REGRESSORS[family](X, y, weights)(X[:1])[0] - 1 - X[0, 0]) for weights in (np.ones(60), light)]
    assert error[1] < error[0]


@pytest.mark.parametrize("family", sorted(REGRESSORS))
def test_the_same_runs_give_the_same_predictions(family: str) -> None:
    X, Q = mixtures(60, 3, 0), mixtures(20, 3, 1)
    y = 1 + X @ np.array([0.5, 0.2, 0.1])
    first, second = (REGRESSORS[family](X, y, np.ones(60))(Q) for _ in range(2))
    assert first.tolist() == second.tolist()
    assert np.isfinite(REGRESSORS[family](X, y, np.ones(60))(np.eye(3))).all()
    if family in ("bimix", "autoscale"):  # smooth inside the simplex
        predict = REGRESSORS[family](X, y, np.ones(60))

        def predict_one(q: np.ndarray) -> float:
            return float(predict(q[None])[0])

        assert np.isfinite(approx_fprime(Q[0], predict_one)).all()
