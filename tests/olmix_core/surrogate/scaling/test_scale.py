"""Scales: their FLOPs, and how far apart they are."""

import math

import pytest

from olmix_core.surrogate.scaling.scale import Scale


def test_training_takes_six_operations_per_parameter_and_token() -> None:
    assert Scale(1e6, 2e7).flops == 1.2e14


def test_distance_is_the_log_of_the_ratio_of_flops() -> None:
    near, far = Scale(1e6, 2e7), Scale(3e7, 6e8)
    assert far.distance(near) == pytest.approx(math.log(900))
    assert near.distance(far) == pytest.approx(-math.log(900))
    assert near.distance(near) == 0.0
    assert Scale(2e6, 1e7).distance(near) == pytest.approx(0.0)


def test_a_scale_is_shown_with_units_and_kept_as_json() -> None:
    scale = Scale(1.2e9, 4.6e10)
    assert str(scale) == "1.2B parameters and 46B tokens"
    assert Scale.from_json(scale.to_json()) == scale
