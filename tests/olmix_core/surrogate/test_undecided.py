"""What would decide a gain: as many runs and copies as it says decide it, in about four of five cases."""

import math

import numpy as np
import pytest

from olmix_core.surrogate.fit import fit_law
from olmix_core.surrogate.intervals import NORMAL_90, REAL, interval
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.test_problems import Problem, diminishing_returns
from olmix_core.surrogate.undecided import POWER_80, remedy
from tests.support.properties import tries

NOISY = diminishing_returns(4, 3).with_noise(0.1, 0.02)
SETTINGS = FitSettings(family="diminishing_returns", gamma=NOISY.law.common_gamma, ridge=1e-6)


def better(problem: Problem) -> np.ndarray:
    """A mixture between natural and the best one."""
    return 0.5 * (problem.optimum + problem.natural)


def test_a_decided_gain_and_a_loss_need_nothing() -> None:
    problem = NOISY.with_noise(1e-4)
    law = fit_law(problem.evidence(40, seed=0), SETTINGS)
    assert remedy(law, problem.optimum, problem.natural, None, 40) is None
    assert remedy(law, problem.natural, problem.optimum, None, 40) is None


def test_copies_make_the_interval_of_a_direct_comparison_exclude_0() -> None:
    law = fit_law(NOISY.evidence(40, seed=0), SETTINGS)
    q = better(NOISY)
    found = remedy(law, q, NOISY.natural, None, 40)
    assert found is not None
    assert found.copies is not None
    gain = interval(law, q, None, NOISY.natural)
    pair = math.hypot(*law.objective_noises(np.array([q, NOISY.natural])))
    assert gain.bpb >= (NORMAL_90 + POWER_80) * pair / math.sqrt(found.copies)
    assert gain.bpb < (NORMAL_90 + POWER_80) * pair / math.sqrt(found.copies - 1)


def test_a_gain_far_below_the_scatter_of_proxies_is_not_decided_by_more_runs() -> None:
    law = fit_law(NOISY.with_noise(1.0).evidence(40, seed=0), SETTINGS)
    q = 0.01 * NOISY.optimum + 0.99 * NOISY.natural
    found = remedy(law, q, NOISY.natural, None, 40) or remedy(law, NOISY.natural, q, None, 40)
    assert found is not None
    assert found.runs is None
    assert found.copies is None


@pytest.mark.scaled
def test_with_the_runs_that_it_asks_for_the_gain_shows_in_most_cases() -> None:
    problem, runs, shown = NOISY.with_noise(0.08), 12, []
    q = better(problem)
    for seed in range(tries(25, 80)):
        law = fit_law(problem.evidence(runs, seed=seed), SETTINGS)
        found = remedy(law, q, problem.natural, None, runs)
        if found is not None and found.runs is not None:
            evidence = problem.evidence(runs + found.runs, seed=1000 + seed)
            shown.append(interval(fit_law(evidence, SETTINGS), q, None, problem.natural).verdict == REAL)
    assert len(shown) >= 5
    assert np.mean(shown) >= 0.8
