"""What is learnt from anchors."""

import numpy as np
import pytest

from olmix_core.surrogate.scaling.anchors import Anchors
from olmix_core.surrogate.scaling.base_law import BaseLaw
from olmix_core.surrogate.scaling.learning import learn
from olmix_core.surrogate.scaling.transfer import Hyperparameters, TransferModel
from tests.support.scaled_truth import BASE, TARGET, ScaledTruth, scaled_truth

ANCHORS = 24


def learnt(truth: ScaledTruth, anchors: Anchors) -> tuple[TransferModel, Hyperparameters]:
    model = TransferModel(BaseLaw(truth.law(), BASE), TARGET, anchors)
    return model, learn(model)


def test_without_anchors_the_priors_hold() -> None:
    model, hyper = learnt(scaled_truth(), Anchors.none(5, 3))
    assert hyper.slope == pytest.approx(0.1)
    assert hyper.slope_error == pytest.approx(0.2, rel=1e-3)
    # Variances are means of lognormal priors, in logs their medians and variances.
    assert hyper.slope_spread == pytest.approx(0.2 * np.exp(0.7**2), rel=1e-3)
    assert hyper.noise == pytest.approx(0.9 * np.exp(0.4**2), rel=1e-3)
    assert hyper.response == pytest.approx(hyper.response[0])
    assert hyper.response[0] > 0.15
    assert hyper.theta == pytest.approx(np.tile(model.level_law.centre, (3, 1)))


@pytest.mark.parametrize("seed", [0, 1])
def test_levels_and_slopes_of_a_known_truth_are_found(seed: int) -> None:
    truth = scaled_truth(seed)
    model, hyper = learnt(truth, truth.anchors(ANCHORS, seed))
    gains = model.gains(hyper)
    assert np.exp(model.log_level(hyper, gains)) == pytest.approx(truth.level, rel=0.02)
    slopes = 1 + hyper.slope * model.ramp[-1] + np.sum(gains.slope * gains.residuals, axis=1)
    assert slopes == pytest.approx(truth.slope, abs=0.1)
    assert hyper.noise == pytest.approx(1.0, rel=0.5)
    assert hyper.slope_error < 0.2


def test_slopes_that_all_tasks_have_in_common_are_learnt_as_such() -> None:
    truth = scaled_truth(2)
    same = ScaledTruth(truth.problem, truth.level, np.full(3, 1.3), truth.changes)
    _, hyper = learnt(same, same.anchors(ANCHORS, 2))
    assert hyper.slope == pytest.approx(0.3, abs=2 * hyper.slope_error)
    _, varied = learnt(
        truth, ScaledTruth(truth.problem, truth.level, np.array([0.6, 1.1, 1.6]), truth.changes).anchors(ANCHORS, 2)
    )
    assert varied.slope_spread > hyper.slope_spread


def test_a_response_that_changes_is_seen() -> None:
    still, moved = (
        learnt(truth, truth.anchors(ANCHORS, 3))[1] for truth in (scaled_truth(3), scaled_truth(3, change=0.4))
    )
    assert (moved.response > still.response).all()


@pytest.mark.parametrize("seed", range(3))
def test_anchors_that_contradict_the_law_leave_finite_settings(seed: int) -> None:
    truth = scaled_truth(seed)
    X = truth.anchors(4, seed).X
    Y = np.random.default_rng(seed).lognormal(0.0, 1.0, (4, 3))
    model, hyper = learnt(truth, Anchors(X, Y, (TARGET,) * 4))
    settings = [hyper.slope, hyper.slope_error, hyper.slope_spread, hyper.noise, *hyper.response]
    assert np.isfinite(settings).all()
    assert np.isfinite(model.gains(hyper).theta).all()
