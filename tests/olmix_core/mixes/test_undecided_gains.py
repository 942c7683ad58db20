"""A gain within the noise comes with what would decide it."""

import numpy as np
import pytest

from olmix_core.mixes.undecided_gains import undecided_remarks
from olmix_core.surrogate.fit import fit_law
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.test_problems import Problem, diminishing_returns

WEIGHTS = np.full(3, 1 / 3)


def remarks(problem: Problem, share: float, seconds: float | None = None) -> tuple[str, ...]:
    """Of a proposal that lies `share` of the way from natural to the best mixture."""
    law = fit_law(problem.evidence(40, seed=0), FitSettings(family="diminishing_returns", ridge=1e-6))
    proposed = share * problem.optimum + (1 - share) * problem.natural
    mixtures = {"natural": problem.natural, "proposed": proposed, "full_reuse": problem.natural}
    return undecided_remarks(law, mixtures, WEIGHTS, 40, seconds)


def test_a_gain_that_is_real_has_no_remark() -> None:
    assert remarks(diminishing_returns(4, 3).with_noise(1e-4), 1.0) == ()


def test_a_gain_within_the_noise_names_proxies_and_their_cost() -> None:
    [remark] = remarks(diminishing_returns(4, 3).with_noise(0.1), 0.5, seconds=600.0)
    assert remark == (
        "the gain over natural is within the noise; if it is as large as predicted, 3 proxies each of the natural and"
        " the proposed mixture (60 min of training), compared directly, would show it in 4 of 5 cases"
    )


def test_a_tiny_gain_says_that_no_sensible_number_of_proxies_would_do() -> None:
    [remark] = remarks(diminishing_returns(4, 3).with_noise(0.1), 0.002)
    assert remark == "the gain over natural is within the noise, and so small that 1,000 more proxies would not show it"


def test_mixtures_that_are_the_same_but_for_the_solver_have_no_remark() -> None:
    assert remarks(diminishing_returns(4, 3).with_noise(0.1), 1e-9) == ()


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_without_a_known_duration_no_cost_is_told(share: float) -> None:
    [remark] = remarks(diminishing_returns(4, 3).with_noise(0.1), share)
    assert "of training" not in remark
