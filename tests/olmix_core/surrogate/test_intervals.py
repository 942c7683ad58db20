"""Intervals cover what proxies measure, whether the law is right or not, and classify a gain."""

from collections.abc import Callable

import numpy as np
import pytest

from olmix_core.proposal.solve import ProposalProblem, propose
from olmix_core.surrogate.fit import fit_law
from olmix_core.surrogate.intervals import NORMAL_90, Interval, interval, measured_std
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.test_problems import Problem, diminishing_returns, log_linear
from tests.support.properties import tries

SWARMS = tries(20, 60)


def at_proposals(problem: Problem, family: str) -> tuple[np.ndarray, np.ndarray]:
    """Of many swarms, how far off the gain predicted for the proposal was, in standard deviations as told and of the
    law alone [SWARMS].
    """
    told, alone = [], []
    for seed in range(SWARMS):
        law = fit_law(problem.evidence(30, seed=seed), FitSettings(family=family))
        one = np.eye(len(law.leaves))
        caps = np.full(len(one), 0.6)
        q = propose(law, ProposalProblem(expansion=one, natural=problem.natural, caps=caps)).weights
        random = np.random.default_rng([seed, 7])
        both = np.stack([problem.natural, q])
        noise = problem.noise * random.standard_normal((2, len(law.tasks)))
        noise += problem.shared_noise * random.standard_normal((2, 1))
        natural, proposed = (problem.bpb(both) + noise).mean(axis=1)
        gain = interval(law, q, None, problem.natural)
        error = gain.bpb - (natural - proposed)
        told.append(error / ((gain.high - gain.low) / 2 / NORMAL_90))
        alone.append(error / law.objective_std(q, None, problem.natural))
    return np.array(told), np.array(alone)


def held(errors: np.ndarray) -> float:
    return float(np.mean(np.abs(errors) <= NORMAL_90))


@pytest.mark.scaled
@pytest.mark.parametrize("make", [log_linear, diminishing_returns])
def test_intervals_cover_gains_of_proposals(make: Callable[..., Problem]) -> None:
    problem = make(6, 5).with_noise(0.02, 0.02)
    told, _ = at_proposals(problem, problem.law.family)
    assert held(told) >= 0.8
    assert 0.5 < np.sqrt(np.mean(told**2)) < 1.5  # nor is the interval far too wide


@pytest.mark.scaled
def test_intervals_cover_gains_under_a_misspecified_law() -> None:
    problem = diminishing_returns(6, 5, gamma=0.4).with_noise(0.002)
    told, alone = at_proposals(problem, "log_linear")
    assert held(told) >= 0.8 > held(alone)


def test_noise_counts_once_per_proxy() -> None:
    problem = log_linear(6, 4).with_noise(0.02, 0.03)
    law = fit_law(problem.evidence(60, seed=0), FitSettings(family="log_linear"))
    q, weights = problem.optimum, np.array([0.4, 0.3, 0.2, 0.1])
    noise = law.objective_noises(q[None], weights)[0]
    assert measured_std(law, q, weights) == pytest.approx(np.hypot(law.objective_std(q, weights), noise))
    apart = law.objective_std(q, weights, problem.natural)
    assert measured_std(law, q, weights, problem.natural) == pytest.approx(np.hypot(apart, np.sqrt(2) * noise))
    assert measured_std(law, q, weights, q.copy()) == 0


@pytest.mark.parametrize(
    ("gain", "low", "high", "words"),
    [
        (0.2, 0.1, 0.3, "real"),
        (0.2, 0.0, 0.4, "within the noise: not to be relied on"),
        (0.2, -0.1, 0.5, "within the noise: not to be relied on"),
        (-0.2, -0.3, -0.1, "a loss"),
        (0.0, 0.0, 0.0, "the same mixture"),
        (1e-9, -0.1, 0.1, "the same mixture"),
    ],
)
def test_a_gain_is_classified_by_its_interval(gain: float, low: float, high: float, words: str) -> None:
    interval = Interval(gain, low, high)
    assert interval.verdict == words
    assert interval.caution == ("" if words == "real" else f"; {words}")
    assert Interval.from_json(interval.to_json()) == interval
