"""The law at the base scale: centre, and what it says of mixtures."""

import numpy as np
import pytest

from olmix_core.surrogate.fit import fit_law
from olmix_core.surrogate.scaling.base_law import BaseLaw
from olmix_core.surrogate.settings import FitSettings
from tests.support.scaled_truth import BASE, scaled_truth

TRUTH = scaled_truth(change=0.2)
LAWS = {
    "one power": TRUTH.law(),
    "powers of tasks": fit_law(TRUTH.problem.evidence(30, 0), FitSettings(family="shared_prior")),
    "log-linear": fit_law(TRUTH.problem.evidence(30, 0), FitSettings(family="log_linear", ridge=1e-6)),
}


@pytest.fixture(params=LAWS)
def base(request: pytest.FixtureRequest) -> BaseLaw:
    return BaseLaw(LAWS[request.param], BASE)


def test_terms_are_relative_to_the_mean_of_the_swarm(base: BaseLaw) -> None:
    terms = base.terms(base.law.trained_mixtures)
    assert terms.away.mean(axis=1) == pytest.approx(0.0, abs=1e-12)
    assert pytest.approx(base.law.predict(base.law.trained_mixtures)) == (base.centre[:, None] + terms.away).T


def test_the_response_has_the_spread_of_the_law_over_the_swarm(base: BaseLaw) -> None:
    X = base.law.trained_mixtures
    norms = np.sqrt(np.mean(np.sum(base.terms(X).response ** 2, axis=2), axis=1))
    assert norms == pytest.approx(base.law.predict(X).std(axis=0))


def test_errors_and_noise_are_those_of_the_law(base: BaseLaw) -> None:
    Q = TRUTH.problem.mixtures(6, seed=4)
    terms = base.terms(Q)
    assert pytest.approx(base.law.covariance.task_std(Q), rel=1e-6) == np.sqrt(np.sum(terms.errors**2, axis=2)).T
    assert pytest.approx(base.law.noise(Q)) == terms.noise.T
