"""A law carried to a target: predictions, intervals, and what they must not depend on."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.errors import FitError
from olmix_core.mixture import Array
from olmix_core.surrogate.scaling.anchors import Anchors
from olmix_core.surrogate.scaling.scale import Scale
from olmix_core.surrogate.scaling.target_surrogate import TargetSurrogate
from tests.support.properties import examples
from tests.support.scaled_truth import BASE, TARGET, ScaledTruth, scaled_truth

TRUTH = scaled_truth(change=0.15)
LAW = TRUTH.law()
ANCHORS = TRUTH.anchors(5, 0)
NONE = Anchors.none(5, 3)
Q = TRUTH.problem.mixtures(20, seed=5)
WEIGHTS = np.array([3.0, 0.0, 1.0])
_90 = 1.645


@pytest.fixture(scope="module")
def carried() -> TargetSurrogate:
    return TargetSurrogate.carry(LAW, BASE, TARGET, ANCHORS)


def held(surrogate: TargetSurrogate, truth: ScaledTruth, seed: int, weights: Array) -> Array:
    """How many 90 % intervals of differences between new runs at the target hold what is measured."""
    runs = truth.problem.mixtures(30, seed=seed + 500)
    error = (surrogate.predict(runs) - truth.measured(runs, seed + 300)) @ weights
    noise = surrogate.objective_noises(runs, weights)
    stds = np.array([surrogate.objective_stds(runs[4:], weights, runs[k]) for k in range(4)])
    half = _90 * np.hypot(stds, np.hypot(noise[4:], noise[:4, None]))
    return np.asarray(np.mean(np.abs(error[4:] - error[:4, None]) < half))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_known_truth_is_found(seed: int) -> None:
    truth = scaled_truth(seed)
    surrogate = TargetSurrogate.carry(truth.law(), BASE, TARGET, truth.anchors(10, seed))
    error = surrogate.predict(Q) - truth.at_target(Q)
    spread = truth.at_target(Q).std(axis=0)
    assert (np.sqrt(np.mean(error**2, axis=0)) < 0.2 * spread).all()
    assert surrogate.slopes == pytest.approx(truth.level * truth.slope, rel=0.15)


@pytest.mark.parametrize("change", [0.0, 0.15])
def test_intervals_of_differences_hold_as_often_as_they_say(change: float) -> None:
    shares = []
    for seed in range(6):
        truth = scaled_truth(seed, change=change)
        surrogate = TargetSurrogate.carry(truth.law(seed=seed), BASE, TARGET, truth.anchors(6, seed))
        shares += [held(surrogate, truth, seed, weights) for weights in (np.full(3, 1 / 3), *np.eye(3))]
    assert 0.85 < np.mean(shares) < 0.99


def test_more_anchors_narrow_the_intervals() -> None:
    widths = [
        TargetSurrogate.carry(LAW, BASE, TARGET, anchors).objective_stds(Q, None, TRUTH.problem.natural)
        for anchors in (NONE, TRUTH.anchors(3, 0), TRUTH.anchors(12, 0))
    ]
    assert widths[0].mean() > widths[1].mean() > widths[2].mean()


def test_a_farther_target_has_wider_intervals_of_its_level() -> None:
    def widths(anchors: Anchors, target: Scale) -> float:
        surrogate = TargetSurrogate.carry(LAW, BASE, target, anchors)
        return float(np.mean(surrogate.objective_stds(Q, None, TRUTH.problem.natural)) / surrogate.objective(Q).mean())

    near, far = Scale(3e6, 6e7), Scale(1e9, 2e10)
    assert widths(NONE, near) < widths(NONE, TARGET) < widths(NONE, far)
    assert widths(ANCHORS, TARGET) < widths(ANCHORS, far) < widths(NONE, far)


def test_at_the_scale_of_the_proxies_nothing_changes() -> None:
    here = TargetSurrogate.carry(LAW, BASE, BASE, NONE)
    assert here.predict(Q) == pytest.approx(LAW.predict(Q), rel=1e-9)
    assert here.std(Q) == pytest.approx(LAW.std(Q), rel=1e-6)
    assert here.objective_stds(Q, WEIGHTS) == pytest.approx(LAW.objective_stds(Q, WEIGHTS), rel=1e-6)
    difference = LAW.objective_stds(Q[1:], WEIGHTS, Q[0])
    assert here.objective_stds(Q[1:], WEIGHTS, Q[0]) == pytest.approx(difference, rel=1e-6)


def test_predictions_that_a_bound_holds_are_in_doubt() -> None:
    low, high = LAW.predict(Q).min(axis=0) + 0.05, LAW.predict(Q).max(axis=0)
    parameters = replace(LAW.parameters, bounds=(low, high))
    held = replace(LAW, parameters=parameters, covariance=replace(LAW.covariance, parameters=parameters))
    here = TargetSurrogate.carry(held, BASE, BASE, NONE)
    assert held.beyond(Q).any()
    assert here.std(Q) == pytest.approx(held.std(Q), rel=1e-6)
    assert here.objective_stds(Q) == pytest.approx(held.objective_stds(Q), rel=1e-6)


@examples(5)
@given(order=st.permutations(range(5)))
def test_the_order_of_anchors_changes_nothing(order: list[int], carried: TargetSurrogate) -> None:
    scales = tuple(ANCHORS.scales[k] for k in order)
    other = TargetSurrogate.carry(LAW, BASE, TARGET, Anchors(ANCHORS.X[order], ANCHORS.Y[order], scales))
    assert other.predict(Q) == pytest.approx(carried.predict(Q), rel=1e-9)
    assert other.std(Q) == pytest.approx(carried.std(Q), rel=1e-9)


def test_an_anchor_that_was_not_evaluated_is_as_none(carried: TargetSurrogate) -> None:
    X, Y = np.vstack([ANCHORS.X, Q[:1]]), np.vstack([ANCHORS.Y, np.full((1, 3), np.nan)])
    other = TargetSurrogate.carry(LAW, BASE, TARGET, Anchors(X, Y, (TARGET,) * 6))
    assert other.predict(Q) == pytest.approx(carried.predict(Q), rel=1e-5)
    assert other.std(Q) == pytest.approx(carried.std(Q), rel=1e-3)


def test_a_task_that_anchors_did_not_measure_has_wider_intervals(carried: TargetSurrogate) -> None:
    Y = ANCHORS.Y.copy()
    Y[:, 1] = np.nan
    other = TargetSurrogate.carry(LAW, BASE, TARGET, replace(ANCHORS, Y=Y))
    assert np.isfinite(other.predict(Q)).all()
    assert (other.std(Q)[:, 1] > 2 * carried.std(Q)[:, 1]).all()


def test_a_difference_of_a_mixture_to_itself_has_no_error(carried: TargetSurrogate) -> None:
    assert carried.objective_std(Q[3], WEIGHTS, Q[3]) == pytest.approx(0.0, abs=1e-9)
    near = 0.9 * Q[3] + 0.1 * Q[4]
    assert 0 < carried.objective_std(near, WEIGHTS, Q[3]) < carried.objective_std(Q[4], WEIGHTS, Q[3])


def test_gradients_agree_with_finite_differences(carried: TargetSurrogate) -> None:
    q, h = TRUTH.problem.optimum, 1e-6
    steps = h * np.eye(5)
    slope = (carried.predict(q + steps) - carried.predict(q - steps)) / (2 * h)
    assert carried.gradient(q) == pytest.approx(slope.T, rel=1e-5, abs=1e-7)
    std, std_slope = carried.objective_std_gradient(q, WEIGHTS)
    assert std == pytest.approx(carried.objective_std(q, WEIGHTS))
    ahead, behind = (carried.objective_stds(q + sign * 10 * steps, WEIGHTS) for sign in (1, -1))
    assert std_slope == pytest.approx((ahead - behind) / (20 * h), rel=1e-4, abs=1e-7)
    corner = np.eye(5)[0]
    assert np.isfinite(carried.objective_std_gradient(corner)[1]).all()


def test_the_law_at_the_target_says_the_same(carried: TargetSurrogate) -> None:
    law = carried.fitted_law
    assert (law.predict(Q) == carried.predict(Q)).all()
    assert carried.objective(Q, WEIGHTS) == pytest.approx(carried.predict(Q) @ (WEIGHTS / 4))
    assert (law.parameters.v >= 0).all()
    assert (law.parameters.c >= 0).all()
    assert (law.trained_mixtures == carried.trained_mixtures).all()


def test_one_mixture_and_several_have_the_same_errors(carried: TargetSurrogate) -> None:
    for reference in (None, Q[0]):
        one_by_one = [carried.objective_std(q, WEIGHTS, reference) for q in Q]
        assert carried.objective_stds(Q, WEIGHTS, reference) == pytest.approx(one_by_one, rel=1e-9, abs=1e-12)
    assert carried.std(Q)[:, 1] == pytest.approx(carried.objective_stds(Q, np.eye(3)[1]), rel=1e-9)


def test_weights_of_tasks_count_as_shares(carried: TargetSurrogate) -> None:
    assert carried.objective_stds(Q, 5 * WEIGHTS) == pytest.approx(carried.objective_stds(Q, WEIGHTS))
    assert carried.objective_noises(Q, np.eye(3)[2]) == pytest.approx(carried.noise(Q)[:, 2])
    with pytest.raises(FitError, match="task weights"):
        carried.objective_stds(Q, np.array([1.0, -1.0, 0.0]))


def test_what_was_learnt_is_kept_for_another_target(carried: TargetSurrogate) -> None:
    farther = carried.at(Scale(1e9, 2e10))
    assert farther.hyper is carried.hyper
    assert (farther.predict(Q) < carried.predict(Q)).all()
    assert (carried.at(TARGET).predict(Q) == carried.predict(Q)).all()
