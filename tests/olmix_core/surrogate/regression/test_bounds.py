"""Bounds of predictions, and ridges that keep a law within them."""

import numpy as np
import pytest

from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import fit, fit_law, load_law
from olmix_core.surrogate.regression.bounds import (
    is_underdetermined,
    measured_bounds,
    prediction_bounds,
    ridge_guard,
)
from olmix_core.surrogate.regression.laws import DIMINISHING_RETURNS, LOG_LINEAR, Law, Parameters
from olmix_core.surrogate.regression.levenberg_marquardt import Problems
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.test_problems import log_linear


def test_bounds_are_the_measured_range_and_as_much_on_either_side() -> None:
    low, high = prediction_bounds(np.array([1.0, 2.0]), np.array([1.5, 2.25]))
    assert low == pytest.approx([0.5, 1.75], abs=1e-8)
    assert high == pytest.approx([2.0, 2.5], abs=1e-8)


def test_runs_of_weight_0_do_not_count() -> None:
    Y = np.array([[1.0], [1.5], [9.0]])
    low, high = measured_bounds(Y, np.array([[1.0], [2.0], [0.0]]))
    assert (low[0], high[0]) == pytest.approx((0.5, 2.0), abs=1e-8)
    low, high = measured_bounds(np.where(Y > 8, np.nan, Y), np.array([[1.0], [2.0], [0.0]]))
    assert (low[0], high[0]) == pytest.approx((0.5, 2.0), abs=1e-8)


def test_predictions_and_gradients_at_a_bound() -> None:
    free = Parameters(np.array([1.0]), np.zeros(1), np.array([[-2.0, 6.0]]))
    bounded = Parameters(free.c, free.b, free.v, (np.array([1.2]), np.array([3.0])))
    Q = np.array([[1.0, 0.0], [0.75, 0.25], [0.0, 1.0]])
    assert free.predict(Q)[:, 0] == pytest.approx([1 + np.exp(-2), 2.0, 1 + np.exp(6)])
    assert bounded.predict(Q)[:, 0] == pytest.approx([1.2, 2.0, 3.0])
    assert bounded.beyond(Q)[:, 0].tolist() == [True, False, True]
    assert not free.beyond(Q).any()


def exploding(leaves: int = 3) -> SwarmData:
    """Runs near one mixture whose BPB rises steeply with the last leaf."""
    random = np.random.default_rng(0)
    rare = np.linspace(0, 0.05, 12)
    others = random.dirichlet(np.ones(leaves - 1), 12) * (1 - rare)[:, None]
    X = np.column_stack([others, rare])
    y = 1 + np.exp(60 * rare - 1)
    return SwarmData(X, y[:, None], tuple(f"r{k:02d}" for k in range(12)), tuple("abcdefgh"[:leaves]), ("t",))


@pytest.mark.parametrize("ridge", ["auto", 0.0])
def test_no_mixture_is_predicted_beyond_the_bounds(ridge: float) -> None:
    swarm = exploding()
    law = fit_law(swarm, FitSettings(family=LOG_LINEAR, ridge=ridge))
    low, high = swarm.Y.min(), swarm.Y.max()
    corners = np.vstack([np.eye(3), np.random.default_rng(1).dirichlet(np.ones(3), 200)])
    predicted = law.predict(corners)
    assert predicted.min() >= low - (high - low) - 1e-6
    assert predicted.max() <= high + (high - low) + 1e-6
    assert law.unbounded.predict(np.eye(3)).max() > 1e6
    assert law.beyond(np.eye(3))[2, 0]
    assert (law.gradient(np.array([0.0, 0.0, 1.0])) == 0).all()
    assert law.std(np.eye(3))[2, 0] >= 1.5 * (high - low)  # half the distance of the bounds
    assert law.objective_stds(np.eye(3))[2] == pytest.approx(law.std(np.eye(3))[2, 0])
    assert law.std(swarm.X) == pytest.approx(law.unbounded.std(swarm.X), abs=0)
    inside = law.predict(swarm.X)
    assert (inside == law.unbounded.predict(swarm.X)).all()


def test_a_constant_task_keeps_its_value() -> None:
    problem = log_linear(3, 2).evidence(20, seed=0)
    swarm = SwarmData(
        problem.X, np.column_stack([problem.Y[:, 0], np.full(20, 1.1)]), problem.runs, problem.leaves, ("a", "b")
    )
    law = fit_law(swarm, FitSettings(family=LOG_LINEAR))
    assert (law.predict(np.eye(3))[:, 1] == law.unbounded.predict(np.eye(3))[:, 1]).all()


def test_a_law_stored_without_bounds_gets_some_from_its_fit() -> None:
    law = fit_law(exploding(), FitSettings(family=LOG_LINEAR))
    stored = law.to_json()
    again = load_law(dict(stored))
    assert (again.predict(np.eye(3)) == law.predict(np.eye(3))).all()
    del stored["bounds"]
    old = load_law(dict(stored))
    assert old.predict(np.eye(3)).max() < 60
    assert (old.predict(exploding().X) == law.predict(exploding().X)).all()


def problems_of(swarm: SwarmData, others: int = 0) -> Problems:
    """Regressions of all tasks, with levels of other swarms."""
    design = np.hstack([swarm.X, np.zeros((len(swarm.runs), others))])
    return Problems(design, swarm.Y, np.ones(swarm.Y.shape), np.zeros(len(swarm.tasks)), 0.02, False)


def test_mixtures_of_a_guard_raise_one_leaf_to_twice_its_largest_weight() -> None:
    X = np.array([[0.5, 0.5, 0.0, 0.0], [0.7, 0.1, 0.2, 0.0]])
    swarm = SwarmData(X, np.ones((2, 1)), ("r", "s"), ("a", "b", "c", "d"), ("t",))
    guard = ridge_guard(swarm, Law(LOG_LINEAR), problems_of(swarm, others=2))
    mean = X.mean(axis=0)
    expected = []
    for j, weight in enumerate((1.0, 1.0, 0.4)):  # d is in no run
        mixture = mean.copy()
        mixture[j] = 0
        mixture *= (1 - weight) / mixture.sum()
        mixture[j] = weight
        expected.append([*mixture, 0, 0])
    assert guard.features == pytest.approx(np.array(expected))
    powers = ridge_guard(swarm, Law(DIMINISHING_RETURNS, 0.5), problems_of(swarm))
    assert powers.features == pytest.approx(-np.sqrt(np.array(expected)[:, :4]))


def test_a_guard_rejects_laws_that_leave_the_bounds() -> None:
    Y = np.array([[1.0, 1.5, 2.0], [2.0, 2.5, 2.5]])
    swarm = SwarmData(np.eye(2), Y, ("r", "s"), ("a", "b"), ("t", "u", "w"))
    guard = ridge_guard(swarm, Law(LOG_LINEAR), problems_of(swarm))
    theta = np.array([[1.0, 0, 0, 0], [1, 0, 3, 0], [0.1, -3, 0, 0]])
    assert guard.rejects(theta).tolist() == [False, True, True]


def test_runs_and_parameters() -> None:
    assert is_underdetermined(12, 22)
    assert is_underdetermined(23, 22)
    assert not is_underdetermined(24, 22)


@pytest.mark.parametrize("family", [LOG_LINEAR, DIMINISHING_RETURNS])
def test_enough_runs_give_the_law_that_they_gave_without_a_guard(family: str) -> None:
    evidence = log_linear(4, 3).with_noise(0.01).evidence(20, seed=0)
    default = fit(evidence, FitSettings(family=family)).to_json()
    assert default == fit(evidence, FitSettings(family=family, guarded=False)).to_json()


def test_few_runs_are_guarded() -> None:
    evidence = log_linear(12, 3).with_noise(0.01).evidence(8, seed=0)
    assert fit(evidence).to_json() == fit(evidence, FitSettings(guarded=True)).to_json()
