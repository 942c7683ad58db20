"""Anchors: what is refused."""

import numpy as np
import pytest

from olmix_core.errors import FitError
from olmix_core.surrogate.scaling.anchors import Anchors
from olmix_core.surrogate.scaling.scale import Scale

X = np.array([[0.5, 0.5], [0.2, 0.8]])
Y = np.array([[1.0, 1.1, np.nan], [0.9, 1.2, 1.3]])
SCALES = (Scale(1e7, 1e9),) * 2


def test_runs_that_were_not_evaluated_are_accepted() -> None:
    assert np.isnan(Anchors(X, Y, SCALES).Y).sum() == 1


@pytest.mark.parametrize(("x", "y", "scales"), [(X[:1], Y, SCALES), (X, Y[:1], SCALES), (X, Y, SCALES[:1])])
def test_numbers_of_runs_that_disagree_are_refused(x: np.ndarray, y: np.ndarray, scales: tuple[Scale, ...]) -> None:
    with pytest.raises(FitError, match="expected one of each per run"):
        Anchors(x, y, scales)


@pytest.mark.parametrize("value", [np.inf, -np.inf, -1.0, 0.0])
def test_what_is_no_bpb_is_refused(value: float) -> None:
    bad = Y.copy()
    bad[1, 2] = value
    with pytest.raises(FitError, match="not a finite number > 0"):
        Anchors(X, bad, SCALES)


def test_no_anchors_have_the_shape_of_the_law() -> None:
    none = Anchors.none(4, 3)
    assert (none.X.shape, none.Y.shape, none.scales) == ((0, 4), (0, 3), ())
