"""Fits recover known truths, do not depend on order, and flag what they cannot explain."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from olmix_core.errors import FitError
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import fit
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.test_problems import Problem, diminishing_returns, log_linear
from tests.support.properties import examples, tries

SWARMS = Path(__file__).resolve().parents[4] / "shared" / "swarms"
needs_swarms = pytest.mark.skipif(not SWARMS.exists(), reason="needs the released swarms in ../shared/swarms")


def swarm(name: str, tasks: int = 12) -> SwarmData:
    """Some tasks of a released swarm."""
    tables = []
    for file in ("ratios", "metrics"):
        with (SWARMS / name / f"{file}.csv").open() as lines:
            tables.append({row["run"]: row for row in csv.DictReader(lines)})
    ratios, metrics = tables
    labels = {"run", "name", "index"}
    runs = sorted(ratios)
    leaves = [column for column in ratios[runs[0]] if column not in labels]
    columns = [c for c in metrics[runs[0]] if c not in labels and not c.startswith("mmlu")][:tasks]
    X = np.array([[float(ratios[run][leaf]) for leaf in leaves] for run in runs])
    Y = np.array([[float(metrics[run][task]) for task in columns] for run in runs])
    return SwarmData(X / X.sum(axis=1, keepdims=True), Y, tuple(runs), tuple(leaves), tuple(columns))


# Recovery


@pytest.mark.parametrize("problem", [log_linear(8, 6, harmful=2), diminishing_returns(8, 6)])
def test_noiseless_truth_is_recovered(problem: Problem) -> None:
    surrogate = fit(
        problem.evidence(80, seed=0), FitSettings(family=problem.law.family, gamma=problem.law.common_gamma, ridge=0.0)
    )
    elsewhere = problem.mixtures(200, seed=9)
    assert surrogate.predict(elsewhere) == pytest.approx(problem.bpb(elsewhere), abs=2e-4)
    assert isinstance(surrogate, LawSurrogate)
    assert surrogate.parameters.c == pytest.approx(problem.parameters.c, abs=0.01)


@pytest.mark.parametrize("problem", [log_linear(8, 6).with_noise(0.01), diminishing_returns(8, 6).with_noise(0.01)])
def test_noisy_truth_is_recovered_within_the_noise(problem: Problem) -> None:
    surrogate = fit(problem.evidence(120, seed=0), FitSettings(family=problem.law.family))
    elsewhere = problem.mixtures(500, seed=9)
    error = surrogate.predict(elsewhere) - problem.bpb(elsewhere)
    assert np.sqrt(np.mean(error**2)) < 0.01
    assert not surrogate.flags


@pytest.mark.parametrize("gamma", [0.4, 0.7])
def test_gamma_is_recovered(gamma: float) -> None:
    problem = diminishing_returns(8, 12, gamma=gamma).with_noise(0.005)
    found = fit(problem.evidence(150, seed=0), FitSettings(family="diminishing_returns")).gamma
    assert found == pytest.approx(gamma, abs=0.101)


@pytest.mark.parametrize(
    "problem",
    [log_linear(8, 8, harmful=3, seed=1).with_noise(0.005), diminishing_returns(8, 8, gamma=0.4).with_noise(0.005)],
)
def test_auto_selects_the_true_family(problem: Problem) -> None:
    surrogate = fit(problem.evidence(100, seed=0))
    assert surrogate.family == problem.law.family
    assert "log_linear" in surrogate.notes[0]
    assert "diminishing_returns" in surrogate.notes[0]


@pytest.mark.scaled
@pytest.mark.parametrize("family", ["log_linear", "diminishing_returns"])
def test_loss_is_no_higher_than_from_many_random_starts(family: str) -> None:
    evidence = log_linear(6, 4).with_noise(0.03).evidence(40, seed=0)
    gamma = None if family == "log_linear" else 0.5
    surrogate = fit(evidence, FitSettings(family=family, gamma=gamma, ridge=1e-5))
    phi = evidence.X if gamma is None else -(evidence.X**gamma)

    def loss(theta: np.ndarray, y: np.ndarray) -> float:
        r = np.abs(theta[0] + np.exp(theta[1] + phi @ theta[2:]) - y)
        huber = np.where(r <= 0.02, r**2 / 2, 0.02 * (r - 0.01))
        return float(huber.mean() + 0.5e-5 * theta[2:] @ theta[2:])

    assert isinstance(surrogate, LawSurrogate)
    p = surrogate.parameters
    random = np.random.default_rng(0)
    bounds = [(1e-6, None), (None, None)] + [(None if gamma is None else 0.0, None)] * 6
    count = tries(5, 15)
    for t in range(4):
        starts = np.column_stack([random.random((count, 2)), random.random((count, 6))])
        lowest = min(
            minimize(loss, start, args=(evidence.Y[:, t],), bounds=bounds, method="L-BFGS-B").fun for start in starts
        )
        b = p.v[t].mean() if gamma is None else p.b[t]
        v = p.v[t] - b if gamma is None else p.v[t]
        ours = loss(np.concatenate([[p.c[t], b], v]), evidence.Y[:, t])
        assert ours <= lowest * (1 + 1e-6)


def test_run_weights_of_zero_leave_runs_out() -> None:
    problem = log_linear(5, 3).with_noise(0.01)
    evidence = problem.evidence(60, seed=0)
    spoiled = replace(evidence, Y=np.where(np.arange(60)[:, None] < 20, evidence.Y + 1.0, evidence.Y))
    without = fit(evidence.rows(np.arange(20, 60)), FitSettings(family="log_linear", ridge=1e-6))
    weighted = fit(
        spoiled, FitSettings(family="log_linear", ridge=1e-6), run_weights=(np.arange(60) >= 20).astype(float)
    )
    assert weighted.predict(evidence.X) == pytest.approx(without.predict(evidence.X), abs=1e-6)


# Order and gaps


@given(seed=st.integers(0, 2**31), family=st.sampled_from(["log_linear", "diminishing_returns"]))
@examples(5)
def test_order_of_rows_and_columns_changes_nothing(seed: int, family: str) -> None:
    random = np.random.default_rng(seed)
    evidence = diminishing_returns(6, 4, seed=seed % 5).with_noise(0.02).evidence(40, seed=seed % 7)
    rows, leaves, tasks = (random.permutation(n) for n in (40, 6, 4))
    shuffled = SwarmData(
        evidence.X[np.ix_(rows, leaves)],
        evidence.Y[np.ix_(rows, tasks)],
        tuple(evidence.runs[k] for k in rows),
        tuple(evidence.leaves[j] for j in leaves),
        tuple(evidence.tasks[t] for t in tasks),
    )
    one, other = fit(evidence, FitSettings(family=family)), fit(shuffled, FitSettings(family=family))
    assert isinstance(one, LawSurrogate)
    assert isinstance(other, LawSurrogate)
    assert (one.parameters.v[np.ix_(tasks, leaves)] == other.parameters.v).all()
    Q = evidence.X[:3]
    assert other.predict(Q[:, leaves]) == pytest.approx(one.predict(Q)[:, tasks], rel=1e-12)
    assert other.std(Q[:, leaves]) == pytest.approx(one.std(Q)[:, tasks], rel=1e-6)


def test_missing_measurements_are_left_out_task_by_task() -> None:
    problem = log_linear(6, 5).with_noise(0.01)
    evidence = problem.evidence(90, seed=0)
    Y = evidence.Y.copy()
    Y[::2, 1] = np.nan
    Y[7, 3] = np.nan
    gappy = fit(replace(evidence, Y=Y), FitSettings(family="log_linear", ridge=1e-6))
    whole = fit(evidence, FitSettings(family="log_linear", ridge=1e-6))
    half = fit(replace(evidence.rows(np.arange(1, 90, 2))), FitSettings(family="log_linear", ridge=1e-6))
    assert gappy.predict(evidence.X)[:, 1] == pytest.approx(half.predict(evidence.X)[:, 1], abs=1e-6)
    assert gappy.predict(evidence.X)[:, 0] == pytest.approx(whole.predict(evidence.X)[:, 0], abs=1e-9)


# Flags, notes and errors


def test_constant_and_rarely_evaluated_tasks_are_flagged() -> None:
    evidence = log_linear(5, 4).with_noise(0.01).evidence(40, seed=0)
    Y = evidence.Y.copy()
    Y[:, 1] = 1.25
    Y[3:, 2] = np.nan
    surrogate = fit(replace(evidence, Y=Y))
    assert set(surrogate.flags) == {"task01", "task02"}
    assert "constant" in surrogate.flags["task01"]
    assert "3 runs" in surrogate.flags["task02"]
    predicted = surrogate.predict(evidence.X)
    assert predicted[:, 1] == pytest.approx(1.25, abs=1e-12)
    assert predicted[:, 2] == pytest.approx(Y[:3, 2].mean(), abs=1e-9)
    assert np.isfinite(surrogate.std(evidence.X)).all()


def test_fewer_runs_than_parameters_is_noted_and_still_useful() -> None:
    problem = diminishing_returns(20, 6).with_noise(0.005)
    surrogate = fit(problem.evidence(15, seed=0), FitSettings(family="diminishing_returns"))
    assert any("15 runs for 22 parameters" in note for note in surrogate.notes)
    assert np.isfinite(surrogate.predict(problem.mixtures(10, seed=1))).all()


def test_interpolation_without_ridge_is_flagged() -> None:
    evidence = log_linear(20, 3).with_noise(0.01).evidence(15, seed=0)
    flags = fit(evidence, FitSettings(family="log_linear", ridge=0.0)).flags
    assert set(flags) == set(evidence.tasks)
    assert "22 parameters and no ridge fit the runs exactly" in flags["task00"]


def test_duplicated_runs_give_the_same_law() -> None:
    once = log_linear(5, 3).with_noise(0.01).evidence(40, seed=0)
    names = (*once.runs, *(f"{run}-again" for run in once.runs))
    twice = SwarmData(np.vstack([once.X] * 2), np.vstack([once.Y] * 2), names, once.leaves, once.tasks)
    laws = [fit(evidence, FitSettings(family="log_linear", ridge=1e-5)) for evidence in (once, twice)]
    assert laws[1].predict(once.X) == pytest.approx(laws[0].predict(once.X), abs=1e-9)


@pytest.mark.parametrize("family", ["log_linear", "diminishing_returns"])
def test_perfectly_correlated_leaves_share_their_effect(family: str) -> None:
    problem = log_linear(5, 3).with_noise(0.01)
    X = problem.mixtures(60, seed=0)
    X[:, 0] = X[:, 1] = X[:, :2].mean(axis=1)
    Y = problem.bpb(X) + 0.01 * np.random.default_rng(0).standard_normal((60, 3))
    law = fit(
        SwarmData(X, Y, tuple(f"r{k}" for k in range(60)), problem.leaves, problem.tasks), FitSettings(family=family)
    )
    assert np.sqrt(np.mean((law.predict(X) - problem.bpb(X)) ** 2)) < 0.02
    # Of moving weight from one to the other nothing is known: the prediction says so.
    apart = X[:1].copy()
    apart[0, 0], apart[0, 1] = X[0, 0] + X[0, 1], 0.0
    assert (law.std(apart) > law.std(X[:1])).all()


def test_tiny_weights_are_fitted() -> None:
    problem = log_linear(5, 3).with_noise(0.01)
    X = problem.mixtures(60, seed=0)
    X[40:] = 1e-12
    X[40:, 0] = 1 - 4e-12
    law = fit(SwarmData(X, problem.bpb(X), tuple(f"r{k}" for k in range(60)), problem.leaves, problem.tasks))
    assert law.predict(X) == pytest.approx(problem.bpb(X), abs=0.05)


def test_leaf_without_runs_is_noted_and_uncertain() -> None:
    problem = diminishing_returns(6, 4).with_noise(0.01)
    evidence = problem.evidence(60, seed=0)
    X = evidence.X.copy()
    X[:, 5] = 0.0
    surrogate = fit(replace(evidence, X=X / X.sum(axis=1, keepdims=True)), FitSettings(family="diminishing_returns"))
    assert any("leaf005" in note for note in surrogate.notes)
    known, unknown = np.full(6, 1 / 6), np.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.5])
    assert surrogate.objective_std(unknown) > 2 * surrogate.objective_std(known)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"family": "cubic"}, "cubic"),
        ({"huber_delta": 0.0}, "huber_delta"),
        ({"ridge": -1.0}, "ridge"),
        ({"gamma": 1.5}, "gamma"),
        ({"family": "log_linear", "gamma": 0.5}, "gamma"),
    ],
)
def test_invalid_settings_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(FitError, match=message):
        fit(log_linear(4, 3).evidence(20, seed=0), FitSettings(**setting))


@pytest.mark.parametrize("run_weights", [np.ones(3), np.zeros(20)])
def test_invalid_run_weights_are_refused(run_weights: np.ndarray) -> None:
    with pytest.raises(FitError, match="run weights"):
        fit(log_linear(4, 3).evidence(20, seed=0), run_weights=run_weights)


# Real swarms


@needs_swarms
@pytest.mark.parametrize("name", ["dclm24", pytest.param("all64", marks=pytest.mark.long)])
def test_held_out_runs_of_real_swarms(name: str) -> None:
    evidence = swarm(name)
    order = np.random.default_rng(0).permutation(len(evidence.runs))
    train, test = evidence.rows(order[: 2 * len(order) // 3]), evidence.rows(order[2 * len(order) // 3 :])
    surrogate = fit(train, FitSettings(family="diminishing_returns", gamma=0.6))
    error = surrogate.objective(test.X) - test.Y.mean(axis=1)
    assert 1 - np.var(error) / np.var(test.Y.mean(axis=1)) > 0.9
    std = np.hypot([surrogate.objective_std(q) for q in test.X], surrogate.objective_noises(test.X))
    assert 0.8 < np.mean(np.abs(error) < 1.645 * std) <= 0.99


@needs_swarms
@pytest.mark.parametrize("family", ["log_linear", "diminishing_returns"])
def test_predictions_from_few_runs_stay_bounded(family: str) -> None:
    evidence = swarm("dclm24")
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(evidence.runs))
        train, test = evidence.rows(order[:25]), evidence.rows(order[25:])
        surrogate = fit(train, FitSettings(family=family, gamma=0.6 if family == "diminishing_returns" else None))
        constant = np.abs(test.Y - train.Y.mean(axis=0)).mean()
        assert np.abs(surrogate.predict(test.X) - test.Y).mean() < constant
