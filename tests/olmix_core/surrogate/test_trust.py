"""Flags of tasks whose law leaves the measured range."""

from dataclasses import replace

import numpy as np

from olmix_core.surrogate.cross_validation import Diagnostics
from olmix_core.surrogate.fit import cross_validate, fit, fit_law
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.test_problems import log_linear
from olmix_core.surrogate.trust import held_out_notes, merged_flags, mixture_flags, run_flags

AT = "its law leaves the measured range by more than its width at "
USED = ", where a bound is used instead; weight 0 keeps the task out of the mean"


def test_runs_beyond_the_bounds_flag_their_task() -> None:
    swarm = log_linear(3, 2).with_noise(0.01).evidence(20, seed=0)
    diagnostics = Diagnostics.of_runs(fit(swarm), swarm, None)
    assert run_flags(diagnostics, "held out") == {}
    beyond = np.zeros((20, 2), dtype=bool)
    beyond[:3, 1] = True
    assert run_flags(replace(diagnostics, beyond=beyond), "held out") == {
        swarm.tasks[1]: f"{AT}3 of 20 runs held out{USED}"
    }
    unmeasured = swarm.Y.copy()
    unmeasured[:3, 1] = np.nan
    assert run_flags(replace(diagnostics, beyond=beyond, observed=unmeasured), "held out") == {}


def test_a_law_that_does_not_predict_runs_left_out_is_no_guide() -> None:
    swarm = log_linear(3, 2).with_noise(0.01).evidence(20, seed=0)
    diagnostics = cross_validate(swarm, FitSettings(family="log_linear"))
    assert held_out_notes(diagnostics) == ()
    shuffled = replace(diagnostics, objective_predicted=diagnostics.objective_predicted[::-1])
    explained = float(shuffled.table()["r2"].to_dict()["objective"])
    [note] = held_out_notes(shuffled)
    assert note.startswith(
        f"on runs left out of the fit, the law predicts the objective with an R2 of {explained:.2f}:"
    )


def test_cross_validation_marks_predictions_that_a_bound_holds() -> None:
    swarm = log_linear(3, 2).with_noise(0.01).evidence(20, seed=0)
    diagnostics = cross_validate(swarm, FitSettings(family="log_linear"))
    assert diagnostics.beyond is not None
    assert diagnostics.beyond.shape == (20, 2)
    assert not diagnostics.beyond.any()
    regressor = cross_validate(swarm, FitSettings(family="search"))
    assert run_flags(regressor, "left out") == {}


def test_mixtures_beyond_the_bounds_flag_their_task() -> None:
    law = fit_law(log_linear(3, 2).with_noise(0.01).evidence(20, seed=0), FitSettings(family="log_linear"))
    tight = replace(law.parameters, bounds=(np.zeros(2), np.array([9.0, 1e-3])))
    mixtures = {"natural": np.full(3, 1 / 3), "proposed": np.array([1.0, 0, 0])}
    assert mixture_flags(law, mixtures) == {}
    assert mixture_flags(replace(law, parameters=tight), mixtures) == {
        law.tasks[1]: f"{AT}the natural mixture and the proposed mixture{USED}"
    }


def test_reasons_of_one_task_are_merged() -> None:
    assert merged_flags({"a": "x", "b": "y"}, {"a": "z"}, {"a": "x"}) == {"a": "x; z", "b": "y"}
