"""What is learnt from all tasks together, and the law fitted under it, on known truths."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.mixture import Array
from olmix_core.surrogate.cross_validation import Folds
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import cross_validate, fit, fit_law, load_law
from olmix_core.surrogate.regression.prior import SwarmPrior
from olmix_core.surrogate.regression.shared_estimation import estimate_shared, nearest_nonnegative
from olmix_core.surrogate.regression.shared_prior import SharedPrior, learn_shared_prior
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.test_problems import diminishing_returns
from tests.support.properties import examples

SHARED = FitSettings(family="shared_prior")
LEAVES = tuple(f"{source}:{topic}" for source in "abc" for topic in range(4))
SOURCES = [LEAVES[:4], LEAVES[4:8], LEAVES[8:]]


def truth_with_sources(runs: int, seed: int, tasks: int = 12) -> SwarmData:
    """Runs of a truth in which the leaves of a source help about alike."""
    random = np.random.default_rng(seed)
    by_source = random.gamma(1.0, 2.0, (tasks, 3)).repeat(4, axis=1)
    a = by_source * random.uniform(0.7, 1.3, (tasks, 12))
    X = random.dirichlet(np.full(12, 0.5), runs)
    Y = 0.6 + np.exp(0.5 - 0.4 * (X**0.6) @ a.T) + 0.005 * random.standard_normal((runs, tasks))
    return SwarmData(
        X, Y, tuple(f"run{k:03d}" for k in range(runs)), LEAVES, tuple(f"task{t:02d}" for t in range(tasks))
    )


def one_swarm(data: SwarmData) -> SwarmPrior:
    return SwarmPrior(dict.fromkeys(data.runs, "only"), "only", SOURCES)


def error(data: SwarmData, settings: FitSettings, test: SwarmData) -> float:
    return float(np.abs(fit(data, settings).predict(test.X) - test.Y).mean())


def test_few_runs_and_related_leaves_predict_better_than_a_ridge_of_each_task() -> None:
    both = truth_with_sources(110, seed=0)
    data, test = both.rows(np.arange(10)), both.rows(np.arange(10, 110))
    related = error(data, replace(SHARED, prior=one_swarm(data)), test)
    assert related < 0.7 * error(data, FitSettings(family="diminishing_returns"), test)
    assert related < 0.7 * error(data, SHARED, test)


def test_leaves_of_a_source_are_found_to_be_alike() -> None:
    data = truth_with_sources(30, seed=3)
    learnt = learn_shared_prior(data, np.ones(30), one_swarm(data), gamma=None)
    assert learnt.shared["source"] > np.mean(list(learnt.leaves.values()))
    assert set(learnt.shared) == {"source", "common"}


def test_a_noiseless_law_is_recovered() -> None:
    problem = diminishing_returns(6, 8)
    data = problem.evidence(80, seed=0)
    surrogate = fit(data, replace(SHARED, gamma=problem.law.common_gamma))
    Q = problem.mixtures(50, seed=1)
    scatter = np.abs(data.Y - data.Y.mean(axis=0)).mean()
    assert np.abs(surrogate.predict(Q) - problem.bpb(Q)).mean() < 0.1 * scatter


def test_a_mixture_of_more_leaves_than_the_runs_is_hardly_predicted_too_low() -> None:
    """Many coefficients are 0; those that the runs leave open must not add up where every leaf has some weight."""

    def missed(seed: int) -> float:
        random = np.random.default_rng(seed)
        a = random.gamma(1.0, 2.0, (6, 24)) * (random.random((6, 24)) < 0.3)

        def bpb(Q: Array) -> Array:
            return np.asarray(0.8 + np.exp(0.6 - Q**0.6 @ a.T))

        X, uniform = random.dirichlet(np.full(24, 0.15), 24), np.full((1, 24), 1 / 24)
        Y = bpb(X) * (1 + 0.04 * random.standard_normal((24, 6)))
        runs, leaves, tasks = (
            [f"{kind}{n:02d}" for n in range(size)] for kind, size in zip("rlt", (24, 24, 6), strict=True)
        )
        data = SwarmData(X, Y, tuple(runs), tuple(leaves), tuple(tasks))
        return float((fit(data, SHARED).predict(uniform) - bpb(uniform)).mean())

    assert abs(np.mean([missed(seed) for seed in range(4)])) < 0.02


def test_a_run_of_weight_0_is_as_good_as_left_out() -> None:
    data = truth_with_sources(24, seed=5)
    weights = np.repeat([0.0, 1.0], [6, 18])
    unweighted = data.rows(np.arange(6, 24))
    shared = learn_shared_prior(unweighted, np.ones(18), None, gamma=0.6)
    left_out = estimate_shared(unweighted, shared, np.ones(18), None, 0.02).estimate.parameters
    weighted = estimate_shared(data, shared, weights, None, 0.02).estimate.parameters
    np.testing.assert_allclose(weighted.v, left_out.v, rtol=1e-6, atol=1e-9)


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(0, 2))
@examples(100)
def test_the_nearest_non_negative_point_satisfies_the_optimality_conditions(seed: int, bounded: int, free: int) -> None:
    random = np.random.default_rng(seed)
    size = bounded + free
    root = random.standard_normal((size, size + 2))
    metric, point = root @ root.T + 0.1 * np.eye(size), random.standard_normal(size)
    x = nearest_nonnegative(point, metric, bounded)
    slope = metric @ (x - point)
    assert np.all(x[:bounded] >= 0)
    assert np.all(slope[:bounded] >= -1e-9)
    assert np.abs(slope[:bounded] * x[:bounded]).max() < 1e-9
    assert np.all(np.abs(slope[bounded:]) < 1e-9)


def tasks_of_two_powers(runs: int, seed: int, tasks: int = 10) -> SwarmData:
    """Runs of a truth in which the even tasks have gamma 0.4 and the odd ones 0.75."""
    random = np.random.default_rng(seed)
    a = random.gamma(1.0, 1.5, (tasks, 6))
    X = random.dirichlet(np.full(6, 0.5), runs)
    powers = np.where(np.arange(tasks) % 2, 0.75, 0.4)
    Y = np.stack([0.8 + np.exp(0.4 - X ** powers[t] @ a[t]) for t in range(tasks)], axis=1)
    Y *= 1 + 0.002 * random.standard_normal(Y.shape)
    return SwarmData(
        X, Y, tuple(f"run{k:03d}" for k in range(runs)), LEAVES[:6], tuple(f"task{t:02d}" for t in range(tasks))
    )


def test_each_task_has_the_gamma_that_fits_it() -> None:
    both = tasks_of_two_powers(140, seed=0)
    data, test = both.rows(np.arange(40)), both.rows(np.arange(40, 140))
    surrogate = fit_law(data, SHARED)
    prior = surrogate.shared_prior
    assert prior is not None
    even, odd = ([prior.gammas[task] for task in data.tasks[start::2]] for start in (0, 1))
    assert np.mean(even) < 0.5 < 0.6 < np.mean(odd)
    assert surrogate.gamma is None
    assert error(data, SHARED, test) < 0.8 * min(
        error(data, replace(SHARED, gamma=gamma), test) for gamma in (0.4, 0.5, 0.6, 0.75)
    )


def test_a_task_is_estimated_alike_whatever_tasks_stand_beside_it() -> None:
    data = tasks_of_two_powers(20, seed=2)
    learnt = learn_shared_prior(data, np.ones(20), None, gamma=None)
    together = estimate_shared(data, learnt, np.ones(20), None, huber_delta=0.02).estimate
    for t, task in enumerate(data.tasks):
        alone = SwarmData(data.X, data.Y[:, [t]], data.runs, data.leaves, (task,))
        estimate = estimate_shared(alone, learnt, np.ones(20), None, huber_delta=0.02).estimate
        np.testing.assert_allclose(estimate.parameters.v[0], together.parameters.v[t], rtol=1e-6, atol=1e-9)


def test_gradients_are_those_of_the_predictions_where_tasks_differ_in_gamma() -> None:
    surrogate = fit_law(tasks_of_two_powers(30, seed=1), SHARED)
    assert surrogate.gamma is None
    q, step = np.array([0.3, 0.2, 0.2, 0.15, 0.1, 0.05]), 1e-6 * np.eye(6)
    slopes = (surrogate.predict(q + step) - surrogate.predict(q - step)).T / 2e-6
    np.testing.assert_allclose(surrogate.gradient(q), slopes, rtol=1e-5, atol=1e-7)
    std, slope = surrogate.objective_std_gradient(q)
    by_difference = (surrogate.objective_stds(q + step) - surrogate.objective_stds(q - step)) / 2e-6
    assert std == pytest.approx(surrogate.objective_std(q), rel=1e-9)
    np.testing.assert_allclose(slope, by_difference, rtol=1e-4, atol=1e-7)


def test_a_prior_of_an_earlier_form_has_one_gamma_for_all_tasks() -> None:
    prior = SharedPrior.from_json({"gamma": 0.5, "leaves": {"a": 1.0}, "shared": {}, "shares": {"x": 0.8, "y": 0.9}})
    assert prior.gammas == {"x": 0.5, "y": 0.5}
    assert prior.law(["y", "x"]).gamma == 0.5


@given(seed=st.integers(0, 2**31))
@examples(2)
def test_order_of_rows_and_columns_changes_nothing(seed: int) -> None:
    random = np.random.default_rng(seed)
    data = diminishing_returns(6, 4, seed=seed % 5).with_noise(0.02).evidence(20, seed=seed % 7)
    rows, leaves, tasks = (random.permutation(n) for n in (20, 6, 4))
    shuffled = SwarmData(
        data.X[np.ix_(rows, leaves)],
        data.Y[np.ix_(rows, tasks)],
        tuple(data.runs[k] for k in rows),
        tuple(data.leaves[j] for j in leaves),
        tuple(data.tasks[t] for t in tasks),
    )
    first, second = fit_law(data, SHARED), fit_law(shuffled, SHARED)
    assert (first.parameters.v[np.ix_(tasks, leaves)] == second.parameters.v).all()
    assert second.std(data.X[:3][:, leaves]) == pytest.approx(first.std(data.X[:3])[:, tasks], rel=1e-6)


def test_a_task_measured_on_half_of_the_runs_is_fitted_to_these() -> None:
    data = diminishing_returns(6, 5).with_noise(0.01).evidence(60, seed=0)
    Y = data.Y.copy()
    Y[::2, 1] = np.nan
    learnt = learn_shared_prior(data, np.ones(60), None, gamma=0.6)
    gappy = fit(replace(data, Y=Y), replace(SHARED, gamma=0.6))
    assert np.isfinite(gappy.predict(data.X)).all()
    assert np.abs(gappy.predict(data.X)[:, 1] - data.Y[:, 1]).mean() < 0.02
    assert set(learnt.shares) == set(data.tasks)


def test_another_swarm_may_lie_at_another_level() -> None:
    problem = diminishing_returns(6, 6).with_noise(0.003)
    new, old = problem.evidence(8, seed=0), problem.evidence(60, seed=1)
    c = problem.parameters.c  # a level is a factor on what lies above c
    moved = replace(old, runs=tuple(f"old-{run}" for run in old.runs), Y=c + 1.25 * (old.Y - c))
    both = SwarmData(
        np.vstack([new.X, moved.X]), np.vstack([new.Y, moved.Y]), (*new.runs, *moved.runs), new.leaves, new.tasks
    )
    swarms = {**dict.fromkeys(new.runs, "new"), **dict.fromkeys(moved.runs, "old")}
    pooled = fit(both, replace(SHARED, prior=SwarmPrior(swarms, "new")))
    Q = problem.mixtures(60, seed=2)
    errors = [np.abs(surrogate.predict(Q) - problem.bpb(Q)).mean() for surrogate in (pooled, fit(new, SHARED))]
    assert errors[0] < 0.5 * errors[1]


def test_a_revised_leaf_resembles_its_predecessor() -> None:
    data = truth_with_sources(20, seed=4)
    prior = SwarmPrior(dict.fromkeys(data.runs, "only"), "only", revised={LEAVES[0]: LEAVES[1], LEAVES[2]: "gone"})
    learnt = learn_shared_prior(data, np.ones(20), prior, gamma=0.6)
    assert set(learnt.shared) == {"common", "revision"}
    covariance = learnt.covariance(LEAVES, 0, prior)
    assert covariance[0, 1] == pytest.approx(learnt.shared["common"] + learnt.shared["revision"])
    assert covariance[2, 3] == pytest.approx(learnt.shared["common"])


@pytest.mark.parametrize("truth", [truth_with_sources, tasks_of_two_powers])
def test_json_keeps_the_prior_and_the_errors(truth: Callable[[int, int], SwarmData]) -> None:
    data = truth(24, 5)
    surrogate = fit_law(data, SHARED)
    assert (surrogate.gamma is None) == (truth is tasks_of_two_powers)
    again = load_law(json.loads(json.dumps(surrogate.to_json())))
    assert again.shared_prior == surrogate.shared_prior
    assert isinstance(again.shared_prior, SharedPrior)
    assert (again.std(data.X) == surrogate.std(data.X)).all()
    assert (again.predict(data.X) == surrogate.predict(data.X)).all()


def test_left_out_errors_are_those_of_fits_without_the_run() -> None:
    data = diminishing_returns(4, 6).with_noise(0.01).evidence(16, seed=0)
    surrogate = fit_law(data, SHARED)
    refits = cross_validate(data, SHARED, folds=Folds(count=16, seed=0))
    closed, exact = surrogate.covariance.errors, refits.predicted - data.Y
    assert np.corrcoef(closed.ravel(), exact.ravel())[0, 1] > 0.9
    assert np.sqrt(np.mean(closed**2)) == pytest.approx(np.sqrt(np.mean(exact**2)), rel=0.25)


def test_intervals_hold_what_new_runs_measure() -> None:
    inside = []
    for seed in range(4):
        both = truth_with_sources(80, seed)
        data, test = both.rows(np.arange(20)), both.rows(np.arange(20, 80))
        surrogate = fit(data, replace(SHARED, prior=one_swarm(data)))
        half = 1.645 * np.hypot(surrogate.std(test.X), surrogate.noise(test.X))
        inside.append(np.mean(np.abs(surrogate.predict(test.X) - test.Y) <= half))
    assert 0.8 < np.mean(inside) < 0.99


def test_auto_takes_the_shared_prior_with_few_runs_and_not_with_a_ridge_that_is_given() -> None:
    data = truth_with_sources(12, seed=6)
    automatic = fit_law(data, FitSettings(prior=one_swarm(data)))
    assert automatic.shared_prior is not None
    assert "diminishing_returns under a shared prior chosen by 5-fold" in automatic.notes[0]
    assert fit_law(data, FitSettings(prior=one_swarm(data), ridge=1e-4)).shared_prior is None
