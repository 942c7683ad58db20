"""Held-out errors are those of unseen runs."""

import numpy as np
import pytest

from olmix_core.errors import FitError
from olmix_core.mixture import Array
from olmix_core.surrogate.cross_validation import Diagnostics, Folds
from olmix_core.surrogate.fit import cross_validate, fit
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.test_problems import diminishing_returns, log_linear
from tests.support.tables import number


def test_cross_validation_finds_no_signal_in_noise() -> None:
    problem = log_linear(6, 3, useless=3).with_noise(0.05)
    evidence = problem.evidence(60, seed=0)
    table = cross_validate(evidence, FitSettings(family="log_linear"), folds=Folds(5, seed=0)).table()
    assert (table.loc[list(problem.tasks), "r2"] < 0.2).all()
    flags = fit(evidence, FitSettings(family="log_linear")).flags
    assert set(flags) <= set(problem.tasks)
    assert all("not explained" in reason for reason in flags.values())


def test_cross_validation_of_a_good_fit_is_accurate() -> None:
    problem = diminishing_returns(6, 5).with_noise(0.01)
    evidence = problem.evidence(90, seed=0)
    diagnostics = cross_validate(evidence, FitSettings(family="diminishing_returns"), folds=Folds(6, seed=1))
    table = diagnostics.table()
    assert list(table.index) == [*problem.tasks, "objective"]
    assert number(table, "objective", "spearman") > 0.98
    assert number(table, "objective", "r2") > 0.95
    assert number(table, "objective", "mae") < 0.015
    assert 0.8 <= table["coverage90"].mean() <= 0.98
    order = np.random.default_rng(0).permutation(90)
    again = cross_validate(evidence.rows(order), FitSettings(family="diminishing_returns"), folds=Folds(6, seed=1))
    assert again.predicted == pytest.approx(diagnostics.predicted[order], rel=1e-12)


@pytest.mark.parametrize("folds", [1, 21])
def test_invalid_numbers_of_folds_are_refused(folds: int) -> None:
    with pytest.raises(FitError, match="folds"):
        cross_validate(
            log_linear(4, 2).with_noise(0.1).evidence(20, seed=0), FitSettings(family="log_linear"), folds=Folds(folds)
        )


def predictions(predicted: Array, observed: Array) -> Diagnostics:
    runs, tasks = observed.shape
    nothing = np.zeros(runs)
    return Diagnostics(
        family="",
        gamma=None,
        runs=tuple(f"r{k:02d}" for k in range(runs)),
        tasks=tuple(f"t{t}" for t in range(tasks)),
        predicted=predicted,
        observed=observed,
        std=np.ones(observed.shape),
        objective_predicted=nothing,
        objective_observed=nothing,
        objective_std=nothing,
    )


def test_an_error_among_the_best_runs_counts_more_than_one_among_the_worst() -> None:
    observed = np.linspace(1.0, 2.0, 20)[:, None]
    best, worst = observed.copy(), observed.copy()
    best[1] -= 0.05
    worst[-2] += 0.05
    errors = [predictions(one, observed).error_towards_the_best for one in (observed, worst, best)]
    assert errors[0] == 0.0
    assert errors[2] == pytest.approx(errors[1] / 0.3)


def test_a_poor_run_that_is_predicted_to_be_the_best_counts_fully() -> None:
    observed = np.linspace(1.0, 2.0, 20)[:, None]
    far, near = observed.copy(), observed.copy()
    far[-1] = 0.9  # predicted best
    near[-1] += 1.1  # the same error, but predicted worst
    assert predictions(far, observed).error_towards_the_best > 2 * predictions(near, observed).error_towards_the_best


def test_runs_without_a_measurement_and_tasks_that_do_not_move_do_not_count() -> None:
    observed = np.column_stack([np.linspace(1.0, 2.0, 20), np.full(20, 3.0), np.full(20, np.nan)])
    observed[3, 0] = np.nan
    predicted = np.nan_to_num(observed, nan=50.0)
    predicted[:, 1] += 0.5
    assert predictions(predicted, observed).error_towards_the_best == 0.0
