"""A fitted law: JSON, gradients and error bars."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from olmix_core.errors import FitError
from olmix_core.surrogate.fit import fit
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.test_problems import Problem, diminishing_returns, log_linear


@pytest.mark.parametrize("family", ["log_linear", "diminishing_returns"])
def test_json_round_trip_is_exact(family: str) -> None:
    problem = diminishing_returns(6, 4, useless=1).with_noise(0.02)
    evidence = problem.evidence(30, seed=0)
    surrogate = fit(evidence, FitSettings(family=family))
    text = json.dumps(surrogate.to_json(), allow_nan=False)
    back = LawSurrogate.from_json(json.loads(text))
    assert back.to_json() == surrogate.to_json()
    assert (back.predict(evidence.X) == surrogate.predict(evidence.X)).all()
    assert (back.std(evidence.X) == surrogate.std(evidence.X)).all()
    assert back.objective_std(evidence.X[0]) == surrogate.objective_std(evidence.X[0])
    assert (back.flags, back.notes, back.gamma) == (surrogate.flags, surrogate.notes, surrogate.gamma)
    task = json.loads(text)["tasks"]["task00"]
    assert set(task) == ({"c", "A"} if family == "log_linear" else {"c", "b", "a", "gamma"})


def test_invalid_json_is_refused() -> None:
    with pytest.raises(FitError, match="fit it again"):
        LawSurrogate.from_json({"family": "log_linear", "tasks": {}})  # type: ignore[typeddict-item]


@pytest.mark.parametrize("problem", [log_linear(6, 4).with_noise(0.02), diminishing_returns(6, 4).with_noise(0.02)])
def test_gradients_agree_with_finite_differences(problem: Problem) -> None:
    surrogate = fit(problem.evidence(50, seed=0), FitSettings(family=problem.law.family))
    q, weights, h = problem.optimum, np.array([1.0, 2.0, 0.0, 1.0]), 1e-6
    steps = h * np.eye(6)
    slope = (surrogate.predict(q + steps) - surrogate.predict(q - steps)) / (2 * h)
    assert surrogate.gradient(q) == pytest.approx(slope.T, rel=1e-5, abs=1e-7)
    std, std_slope = surrogate.objective_std_gradient(q, weights)
    assert std == pytest.approx(surrogate.objective_std(q, weights), rel=1e-9)
    ahead, behind = (
        np.array([surrogate.objective_std(q + sign * step, weights) for step in steps]) for sign in (1, -1)
    )
    assert std_slope == pytest.approx((ahead - behind) / (2 * h), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("make", [log_linear, diminishing_returns])
def test_standard_deviation_matches_the_scatter_of_repeated_swarms(make: Callable[..., Problem]) -> None:
    problem = make(6, 5).with_noise(0.03, 0.02)
    Q = problem.mixtures(20, seed=99)
    fits = [
        fit(
            problem.evidence(80, seed=s),
            FitSettings(family=problem.law.family, gamma=problem.law.common_gamma, ridge=1e-6),
        )
        for s in range(25)
    ]
    scatter = np.std([one.objective(Q) for one in fits], axis=0)
    told = np.mean([[one.objective_std(q) for q in Q] for one in fits], axis=0)
    assert 0.7 < np.median(told / scatter) < 1.6
    assert np.mean([one.objective_noises(one.trained_mixtures[:1])[0] for one in fits]) == pytest.approx(
        np.hypot(0.02, 0.03 / 5**0.5), rel=0.2
    )


def test_difference_of_a_mixture_to_itself_has_no_error() -> None:
    problem = log_linear(6, 4).with_noise(0.02)
    surrogate = fit(problem.evidence(50, seed=0), FitSettings(family="log_linear"))
    q = problem.optimum
    assert surrogate.objective_std(q, reference=q) == pytest.approx(0.0, abs=1e-12)
    near = 0.9 * q + 0.1 * problem.natural
    assert surrogate.objective_std(near, reference=q) < surrogate.objective_std(near)


def test_mixtures_and_weights_of_wrong_shape_are_refused() -> None:
    surrogate = fit(log_linear(4, 3).evidence(20, seed=0), FitSettings(family="log_linear"))
    with pytest.raises(FitError, match="column per leaf"):
        surrogate.predict(np.ones((2, 5)))
    with pytest.raises(FitError, match="task weights"):
        surrogate.objective(np.full((1, 4), 0.25), np.array([1.0, -1.0, 1.0]))
