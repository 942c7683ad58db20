"""How the level of a loss falls with parameters and tokens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.surrogate.scaling.levels import LevelLaw
from olmix_core.surrogate.scaling.scale import Scale

BASE = Scale(1e6, 1e9)
LAW = LevelLaw(BASE)
thetas = st.lists(st.floats(-2.0, 2.0), min_size=4, max_size=4).map(lambda values: np.array([values]))
sizes = st.floats(1e6, 1e11)


def published(scale: Scale) -> float:
    """The loss of Hoffmann et al. 2022, in nats per token."""
    return float(1.69 + 406.4 / scale.parameters**0.34 + 410.7 / scale.tokens**0.28)


@given(theta=thetas)
def test_nothing_changes_at_the_base(theta: np.ndarray) -> None:
    assert LAW.logs(theta, [BASE]) == pytest.approx(0.0, abs=1e-12)
    assert LAW.slopes(theta, [BASE]) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("scale", [Scale(6e7, 1e9), Scale(1e9, 2.5e10), Scale(1e6, 1e10), Scale(5e5, 1e8)])
def test_the_centre_of_the_prior_is_the_published_law(scale: Scale) -> None:
    ratio = np.exp(LAW.logs(LAW.centre[None], [scale]))
    assert ratio == pytest.approx(published(scale) / published(BASE), rel=1e-12)


@given(theta=thetas, parameters=sizes, tokens=sizes)
def test_slopes_agree_with_finite_differences(theta: np.ndarray, parameters: float, tokens: float) -> None:
    scales, h = [Scale(parameters, tokens), BASE], 1e-5
    steps = h * np.eye(4)
    pairs = [(LAW.logs(theta + step, scales), LAW.logs(theta - step, scales)) for step in steps]
    slopes = np.stack([(ahead - behind) / (2 * h) for ahead, behind in pairs], axis=2)
    assert LAW.slopes(theta, scales) == pytest.approx(slopes, rel=1e-5, abs=1e-6)


@given(theta=thetas.map(lambda theta: theta - [0, 0, 1, 1]), parameters=sizes, tokens=sizes)
def test_the_level_falls_with_parameters_and_with_tokens(theta: np.ndarray, parameters: float, tokens: float) -> None:
    scales = [Scale(parameters, tokens), Scale(2 * parameters, tokens), Scale(parameters, 2 * tokens)]
    level, larger, longer = LAW.logs(theta, scales)[0]
    assert larger < level
    assert longer < level


def test_the_covariance_is_positive_definite() -> None:
    assert (np.linalg.eigvalsh(LAW.covariance) > 0).all()
