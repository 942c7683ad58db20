"""The model of a run at any scale."""

from dataclasses import replace

import numpy as np
import pytest

from olmix_core.surrogate.scaling.anchors import Anchors
from olmix_core.surrogate.scaling.base_law import BaseLaw
from olmix_core.surrogate.scaling.learning import learn
from olmix_core.surrogate.scaling.scale import Scale
from olmix_core.surrogate.scaling.transfer import TransferModel
from tests.support.scaled_truth import BASE, TARGET, scaled_truth

TRUTH = scaled_truth(change=0.2)
LAW = BaseLaw(TRUTH.law(), BASE)
ANCHORS = TRUTH.anchors(4, 0)
NEAR = Scale(3e6, 6e7)


def model(anchors: Anchors, target: Scale = TARGET) -> TransferModel:
    return TransferModel(LAW, target, anchors)


def prior() -> TransferModel:
    return model(Anchors.none(5, 3))


def test_at_the_base_anchors_measure_the_law_and_have_only_its_errors() -> None:
    at_base = model(Anchors(ANCHORS.X, ANCHORS.Y, (BASE,) * 4))
    hyper = learn(prior())
    assert pytest.approx(LAW.law.predict(ANCHORS.X), rel=1e-12) == at_base.expected(hyper).T
    for part in at_base.process_covariance(hyper):
        assert part == pytest.approx(0.0, abs=1e-15)
    variances = np.diagonal(at_base.covariance(hyper), axis1=1, axis2=2).T
    noise = hyper.noise * LAW.law.noise(ANCHORS.X)
    assert variances == pytest.approx(LAW.law.covariance.task_std(ANCHORS.X) ** 2 + noise**2, rel=1e-6)


def test_a_walk_is_common_as_far_as_two_scales_share_their_way() -> None:
    scales = (NEAR, TARGET, Scale(1e5, 1e6), BASE)
    walk = model(Anchors(ANCHORS.X, ANCHORS.Y, scales), NEAR).brownian
    distances = [abs(scale.distance(BASE)) / np.log(100) for scale in (*scales, NEAR)]
    assert np.diagonal(walk) == pytest.approx(distances)
    assert walk[0, 1] == walk[0, 4] == walk[0, 0]  # the farther scale is reached through the nearer one
    assert not walk[2, [0, 1, 3, 4]].any()  # smaller scales lie the other way
    assert not walk[3].any()


@pytest.mark.parametrize("scales", [(TARGET,) * 4, (NEAR, NEAR, TARGET, TARGET), (BASE, NEAR, TARGET, Scale(1e5, 1e6))])
def test_the_covariance_of_anchors_is_symmetric_and_positive_definite(scales: tuple[Scale, ...]) -> None:
    of_scales = model(Anchors(ANCHORS.X, ANCHORS.Y, scales))
    covariance = of_scales.covariance(learn(prior()))
    assert covariance == pytest.approx(covariance.transpose(0, 2, 1), rel=1e-9)
    assert (np.linalg.eigvalsh(covariance) > 0).all()


def test_anchors_as_expected_change_nothing() -> None:
    hyper = learn(prior())
    expected = model(ANCHORS).expected(hyper).T
    as_expected = model(Anchors(ANCHORS.X, expected, ANCHORS.scales))
    assert as_expected.residuals(hyper) == pytest.approx(0.0, abs=1e-12)
    gains = as_expected.gains(hyper)
    assert gains.theta == pytest.approx(hyper.theta)
    assert np.exp(as_expected.log_level(hyper, gains)) == pytest.approx(as_expected.levels(hyper.theta)[:, -1])


def test_a_task_that_an_anchor_did_not_measure_is_as_without_the_anchor() -> None:
    hyper = learn(prior())
    Y = ANCHORS.Y.copy()
    Y[1, 0] = np.nan
    kept = [0, 2, 3]
    with_gap, without = model(replace(ANCHORS, Y=Y)), model(Anchors(ANCHORS.X[kept], Y[kept], (TARGET,) * 3))
    gains, fewer = with_gap.gains(hyper), without.gains(hyper)
    assert with_gap.log_level(hyper, gains)[0] == pytest.approx(without.log_level(hyper, fewer)[0], rel=1e-9)
    assert gains.level[0, kept] == pytest.approx(fewer.level[0], rel=1e-6)
    assert gains.response[0][:, kept] == pytest.approx(fewer.response[0], rel=1e-6)
    assert gains.theta[0] == pytest.approx(fewer.theta[0], rel=1e-9)
