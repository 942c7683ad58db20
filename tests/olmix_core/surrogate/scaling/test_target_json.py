"""A law at a target as JSON."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.errors import FitError
from olmix_core.surrogate.scaling.anchors import Anchors
from olmix_core.surrogate.scaling.base_law import BaseLaw
from olmix_core.surrogate.scaling.learning import learn
from olmix_core.surrogate.scaling.scale import Scale
from olmix_core.surrogate.scaling.target_json import read_target
from olmix_core.surrogate.scaling.target_surrogate import TargetSurrogate
from olmix_core.surrogate.scaling.transfer import TransferModel
from tests.support.properties import examples
from tests.support.scaled_truth import BASE, TARGET, scaled_truth

TRUTH = scaled_truth(change=0.15)
LAW = TRUTH.law()
HYPER = learn(TransferModel(BaseLaw(LAW, BASE), TARGET, Anchors.none(5, 3)))
FIELDS = ["law", "scale", "target", "anchors", "hyperparameters"]
scales = st.builds(Scale, st.floats(1e5, 1e11), st.floats(1e6, 1e13))
losses = st.one_of(st.just(np.nan), st.floats(0.1, 5.0))


@st.composite
def surrogates(draw: st.DrawFn) -> TargetSurrogate:
    of_anchors = draw(st.lists(scales, max_size=4))
    count = len(of_anchors)
    Y = np.array(draw(st.lists(losses, min_size=3 * count, max_size=3 * count))).reshape(count, 3)
    anchors = Anchors(TRUTH.problem.mixtures(count, seed=1) if count else np.empty((0, 5)), Y, tuple(of_anchors))
    return TargetSurrogate(BaseLaw(LAW, draw(scales)), draw(scales), anchors, HYPER)


@examples(30)
@given(surrogate=surrogates())
def test_json_round_trip_is_exact(surrogate: TargetSurrogate) -> None:
    text = json.dumps(surrogate.to_json(), allow_nan=False)
    back = read_target(json.loads(text))
    assert json.dumps(back.to_json()) == text
    Q = TRUTH.problem.mixtures(4, seed=2)
    assert np.array_equal(back.predict(Q), surrogate.predict(Q))
    assert np.array_equal(back.std(Q), surrogate.std(Q))
    assert np.array_equal(back.objective_stds(Q, None, Q[0]), surrogate.objective_stds(Q, None, Q[0]))


def test_what_was_learnt_is_read_back() -> None:
    surrogate = TargetSurrogate.carry(LAW, BASE, TARGET, TRUTH.anchors(3, 0))
    back = read_target(json.loads(json.dumps(surrogate.to_json())))
    assert back.base.scale == BASE
    assert back.target == TARGET
    assert back.anchors.scales == (TARGET,) * 3
    assert back.hyper.slope == surrogate.hyper.slope
    assert np.array_equal(back.hyper.theta, surrogate.hyper.theta)
    assert np.array_equal(back.predict(back.anchors.X), surrogate.predict(back.anchors.X))


@pytest.mark.parametrize("version", [2, None, "1"])
def test_other_versions_are_refused(version: object) -> None:
    data = TargetSurrogate.carry(LAW, BASE, TARGET, Anchors.none(5, 3)).to_json()
    with pytest.raises(FitError, match="expected 1"):
        read_target({**data, "format_version": version})


@pytest.mark.parametrize("field", FIELDS)
def test_a_missing_field_is_refused(field: str) -> None:
    data = dict(TargetSurrogate.carry(LAW, BASE, TARGET, Anchors.none(5, 3)).to_json())
    del data[field]
    with pytest.raises(FitError, match="carry it again"):
        read_target(data)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [None, 3, "text", [], {}])
def test_a_field_of_another_shape_is_refused(field: str, value: object) -> None:
    data = TargetSurrogate.carry(LAW, BASE, TARGET, Anchors.none(5, 3)).to_json()
    with pytest.raises(FitError):
        read_target({**data, field: value})
