"""The noise of one run: its size from few runs, and correlations of tasks that are rarely measured together."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from olmix_core.surrogate.fit import fit, fit_law, load_law
from olmix_core.surrogate.regression.noise import noise_covariance
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.test_problems import Problem, diminishing_returns, log_linear

TASKS = 12
OWN, SHARED = 0.02, 0.026
OF_MEAN = float(np.hypot(OWN / TASKS**0.5, SHARED))


@pytest.mark.parametrize("make", [log_linear, diminishing_returns])
@pytest.mark.parametrize("runs", [16, 27])
def test_noise_from_few_runs_is_not_too_low(make: Callable[..., Problem], runs: int) -> None:
    ratios = []
    for seed in range(6):
        problem = make(8, 8, seed=seed).with_noise(OWN)
        settings = FitSettings(family=problem.law.family, gamma=problem.law.common_gamma)
        ratios += list(fit_law(problem.evidence(runs, seed=100 + seed), settings).covariance.noise / OWN)
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.08)


def partly_measured(complete: int) -> NDArray[np.bool_]:
    """[80, TASKS] which tasks each run is measured on: every second one, and all in the first `complete` runs."""
    random = np.random.default_rng(0)
    seen = np.stack([random.permutation(TASKS) < TASKS // 2 for _ in range(80)])
    seen[:complete] = True
    return seen


@pytest.mark.parametrize("family", ["diminishing_returns", "shared_prior"])
@pytest.mark.parametrize("complete", [0, 1, 80])
def test_noise_of_the_mean_where_few_runs_are_measured_on_all_tasks(complete: int, family: str) -> None:
    evidence = diminishing_returns(6, TASKS).with_noise(OWN, SHARED).evidence(80, seed=1)
    Y = np.where(partly_measured(complete), evidence.Y, np.nan)
    surrogate = fit(replace(evidence, Y=Y), FitSettings(family=family))
    of_runs = surrogate.objective_noises(surrogate.trained_mixtures)
    assert np.sqrt(np.mean(of_runs**2)) == pytest.approx(OF_MEAN, rel=0.15)
    assert not surrogate.flags
    assert not [note for note in surrogate.notes if "correlate" in note]


def test_tasks_measured_apart_are_taken_to_err_together() -> None:
    evidence = diminishing_returns(4, 2).with_noise(OWN, SHARED).evidence(60, seed=1)
    Y = evidence.Y.copy()
    Y[:30, 0], Y[30:, 1] = np.nan, np.nan
    surrogate = fit_law(replace(evidence, Y=Y), FitSettings(family="diminishing_returns"))
    assert surrogate.objective_noises(surrogate.trained_mixtures[:1])[0] == pytest.approx(
        surrogate.covariance.noise.mean()
    )
    assert any("taken to err together" in note for note in surrogate.notes)


def test_a_pair_of_tasks_measured_apart_has_the_correlation_of_the_others() -> None:
    evidence = diminishing_returns(4, 4).with_noise(OWN, SHARED).evidence(80, seed=1)
    Y = evidence.Y.copy()
    Y[:40, 0], Y[40:, 1] = np.nan, np.nan
    surrogate = fit_law(replace(evidence, Y=Y), FitSettings(family="diminishing_returns"))
    covariance = surrogate.covariance.noise_covariance
    correlation = covariance / np.outer(surrogate.covariance.noise, surrogate.covariance.noise)
    assert correlation[0, 1] == pytest.approx(SHARED**2 / (SHARED**2 + OWN**2), abs=0.15)
    assert any("1 of 6 pairs of tasks have fewer than 4 runs in common" in note for note in surrogate.notes)


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 12), st.floats(0.1, 1.0))
def test_a_covariance_is_one_and_scales_with_the_residuals(seed: int, tasks: int, runs: int, measured: float) -> None:
    random = np.random.default_rng(seed)
    weights = (random.random((runs, tasks)) < measured) * random.uniform(0.1, 2.0, (runs, 1))
    residuals = random.standard_normal((runs, tasks)) * (weights > 0)
    leverage = random.random((runs, tasks))
    covariance = noise_covariance(residuals, leverage, weights)
    assert np.allclose(covariance, covariance.T)
    assert np.linalg.eigvalsh(covariance).min() >= -1e-9 * (1 + np.abs(covariance).max())
    freedom = np.maximum(np.sum(weights * (1 - leverage), axis=0), 1e-300)
    assert np.diagonal(covariance) == pytest.approx(np.sum(weights * residuals**2, axis=0) / freedom)
    assert noise_covariance(2 * residuals, leverage, weights) == pytest.approx(4 * covariance)


def test_correlations_of_many_runs_are_those_of_their_residuals() -> None:
    random = np.random.default_rng(0)
    mixing = np.array([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [-0.5, 0.2, 0.8]])
    residuals = random.standard_normal((4000, 3)) @ mixing.T
    expected = mixing @ mixing.T
    assert noise_covariance(residuals, np.zeros((4000, 3)), np.ones((4000, 3))) == pytest.approx(expected, abs=0.06)


def test_a_law_stored_without_its_noise_has_that_of_its_leave_one_out_errors() -> None:
    surrogate = fit_law(log_linear(8, 6).with_noise(OWN).evidence(16, seed=0), FitSettings(family="log_linear"))
    data: dict[str, Any] = json.loads(json.dumps(surrogate.to_json()))
    del data["errors"]["noise"]
    stored = load_law(data)
    assert stored.predict(surrogate.trained_mixtures) == pytest.approx(surrogate.predict(surrogate.trained_mixtures))
    assert (stored.covariance.noise != surrogate.covariance.noise).all()
    leave_one_out = np.sqrt(np.mean(surrogate.covariance.errors**2, axis=0))
    assert (stored.covariance.noise < leave_one_out).all()
    again = load_law(json.loads(json.dumps(stored.to_json())))
    assert again.covariance.noise == pytest.approx(stored.covariance.noise, rel=1e-12)
