"""Runs that lie higher scatter more, where they do, and intervals follow."""

import numpy as np
import pytest

from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import fit_law
from olmix_core.surrogate.intervals import NORMAL_90, measured_task_stds
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.regression.local_noise import LocalNoise
from olmix_core.surrogate.settings import FitSettings

RUNS, TESTED, TASKS = 80, 400, 8


def study(power: float, seed: int) -> tuple[LawSurrogate, SwarmData]:
    """A law fitted to runs whose noise is 0.03 (y - c)^power, and runs that it has not seen."""
    random = np.random.default_rng(seed)
    a = random.gamma(1.0, 2.0, (TASKS, 6))
    X = random.dirichlet(np.full(6, 0.4), RUNS + TESTED)
    above = np.exp(0.5 - X**0.6 @ a.T)
    Y = 0.6 + above + 0.03 * above**power * random.standard_normal(above.shape)
    runs = tuple(f"run{k:03d}" for k in range(len(X)))
    both = SwarmData(X, Y, runs, tuple("abcdef"), tuple(f"task{t}" for t in range(TASKS)))
    surrogate = fit_law(both.rows(np.arange(RUNS)), FitSettings(family="shared_prior", gamma=0.6))
    return surrogate, both.rows(np.arange(RUNS, len(X)))


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_intervals_hold_low_and_high_runs_more_alike_than_with_one_noise(power: float) -> None:
    local: list[list[float]] = []
    everywhere: list[list[float]] = []
    for seed in range(6):
        surrogate, test = study(power, seed)
        predicted = surrogate.predict(test.X)
        error = np.abs(predicted - test.Y)
        quarter = np.argsort(np.argsort(predicted, axis=0), axis=0) * 4 // TESTED
        constant = np.hypot(surrogate.std(test.X), surrogate.covariance.noise)
        for held, std in ((local, measured_task_stds(surrogate, test.X)), (everywhere, constant)):
            held.append([np.mean((error <= NORMAL_90 * std)[quarter == part]) for part in range(4)])
    by_quarter = np.mean(local, axis=0)
    assert 0.84 < by_quarter.mean() < 0.93
    assert np.ptp(by_quarter) < (0.5 if power else 0.9) * np.ptp(np.mean(everywhere, axis=0))


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_the_power_is_recovered(power: float) -> None:
    random = np.random.default_rng(1)
    decay = np.exp(random.normal(0, 0.7, (60, 12)))
    noise = LocalNoise.of_runs(decay, decay**power * random.standard_normal(decay.shape), np.ones(decay.shape))
    assert noise.power == pytest.approx(power, abs=0.1)
    assert np.mean(noise.scales(decay) ** 2, axis=0) == pytest.approx(1)


def test_the_noise_stays_as_it_is_beyond_the_runs() -> None:
    noise = LocalNoise(1.0, usual=np.array([0.5]), least=np.array([0.25]), most=np.array([2.0]))
    assert noise.scales(np.array([[0.01], [0.25], [1.0], [2.0], [9.0]]))[:, 0] == pytest.approx([0.5, 0.5, 2, 4, 4])


def test_the_noise_of_an_objective_is_that_of_its_tasks() -> None:
    surrogate, test = study(1.0, seed=4)
    for t in range(TASKS):
        alone = surrogate.objective_noises(test.X, np.eye(TASKS)[t])
        np.testing.assert_allclose(alone, surrogate.noise(test.X)[:, t], rtol=1e-9)
