"""The law that is nearest to given predictions."""

import numpy as np
import pytest

from olmix_core.surrogate.fit import fit_law
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.scaling.nearest_law import nearest_coefficients
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.test_problems import diminishing_returns, log_linear

PROBLEMS = {"diminishing_returns": diminishing_returns(5, 3, seed=1), "log_linear": log_linear(5, 3, seed=1)}


@pytest.fixture(scope="module", params=sorted(PROBLEMS))
def law(request: pytest.FixtureRequest) -> LawSurrogate:
    evidence = PROBLEMS[request.param].with_noise(0.002).evidence(40, seed=0)
    return fit_law(evidence, FitSettings(family=request.param, ridge=1e-6))


def decay(law: LawSurrogate, b: np.ndarray, v: np.ndarray) -> np.ndarray:
    """[T, K] the part that the mixture moves."""
    features = np.broadcast_to(law.law.features(law.trained_mixtures), (3, *law.trained_mixtures.shape))
    return np.exp(b[:, None] + np.einsum("tkm,tm->tk", features, v))


def test_predictions_of_the_form_are_matched(law: LawSurrogate) -> None:
    v = law.parameters.v * np.array([1.2, 0.7, 1.0, 1.5, 0.9])
    wanted = decay(law, law.parameters.b - 0.3, v)
    b, found = nearest_coefficients(law, law.trained_mixtures, wanted)
    np.testing.assert_allclose(decay(law, b, found), wanted, rtol=0.01)


def test_predictions_below_the_floor_leave_a_law_of_the_form(law: LawSurrogate) -> None:
    wanted = decay(law, law.parameters.b, law.parameters.v)
    wanted -= 1.05 * wanted.min(axis=1, keepdims=True)
    b, v = nearest_coefficients(law, law.trained_mixtures, wanted)
    assert np.isfinite(b).all()
    assert np.isfinite(v).all()
    if law.law.nonnegative:
        assert (v >= 0).all()
    error = decay(law, b, v) - wanted
    assert np.abs(error.mean(axis=1)).max() < 0.1 * wanted.std()
