"""Which further anchors would decide a gain at the target."""

from dataclasses import replace

import numpy as np
import pytest

from olmix_core.surrogate.intervals import REAL, UNDECIDED, interval
from olmix_core.surrogate.scaling.advice import further_anchors
from olmix_core.surrogate.scaling.anchors import Anchors
from olmix_core.surrogate.scaling.scale import Scale
from olmix_core.surrogate.scaling.target_surrogate import TargetSurrogate
from tests.support.scaled_truth import BASE, scaled_truth

FAR = Scale(BASE.parameters * 3000, BASE.tokens * 3000)
TRUTH = scaled_truth()


@pytest.fixture(scope="module")
def carried() -> TargetSurrogate:
    law = TRUTH.law()
    return TargetSurrogate.carry(law, BASE, FAR, Anchors.none(len(law.leaves), len(law.tasks)))


def between(share: float) -> np.ndarray:
    """A mixture that lies `share` of the way from natural to the best."""
    return np.asarray(share * TRUTH.problem.optimum + (1 - share) * TRUTH.problem.natural)


def undecided(carried: TargetSurrogate) -> np.ndarray:
    """The nearest such mixture whose gain is within the noise, but not by far."""
    natural = TRUTH.problem.natural
    shares = [share for share in np.linspace(1.0, 0.05, 20)
              if interval(carried, between(share), None, natural).verdict == UNDECIDED]  # fmt: skip
    return between(shares[0])


def test_runs_of_both_mixtures_between_the_sizes_decide_a_gain_within_the_noise(carried: TargetSurrogate) -> None:
    q, natural = undecided(carried), TRUTH.problem.natural
    more = further_anchors(carried, q, natural, None)
    assert more is not None
    assert more.runs in (2, 4, 8)
    assert BASE.flops < more.scale.flops < FAR.flops
    assert more.half_width < interval(carried, q, None, natural).bpb
    assert more.flops == more.runs * more.scale.flops


def test_the_runs_are_taken_to_measure_what_is_predicted(carried: TargetSurrogate) -> None:
    q, natural = undecided(carried), TRUTH.problem.natural
    more = further_anchors(carried, q, natural, None)
    assert more is not None
    X = np.array([q, natural] * (more.runs // 2))
    measured = replace(carried, anchors=Anchors(X, carried.at(more.scale).predict(X), (more.scale,) * len(X)))
    gain, before = (interval(one, q, None, natural) for one in (measured, carried))
    assert gain.bpb == pytest.approx(before.bpb, rel=0.05)  # nothing new but certainty
    assert gain.high - gain.bpb == pytest.approx(more.half_width)
    assert gain.high - gain.low < before.high - before.low


def test_a_gain_that_is_real_needs_none(carried: TargetSurrogate) -> None:
    near, natural, best = carried.at(BASE), TRUTH.problem.natural, TRUTH.problem.optimum
    assert interval(near, best, None, natural).verdict == REAL
    assert further_anchors(near, best, natural, None) is None


def test_a_loss_needs_none(carried: TargetSurrogate) -> None:
    q = undecided(carried)
    assert further_anchors(carried, TRUTH.problem.natural, q, None) is None
