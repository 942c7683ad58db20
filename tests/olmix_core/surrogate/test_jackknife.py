"""Comparison families behind the same protocol as the laws: predictions, errors, proposals, JSON."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from olmix_core.errors import FitError, ProposalError
from olmix_core.mixture import Array
from olmix_core.proposal.constraints import Groups
from olmix_core.proposal.solve import ProposalProblem, propose
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import cross_validate, fit
from olmix_core.surrogate.fit import load as load_surrogate
from olmix_core.surrogate.intervals import NORMAL_90
from olmix_core.surrogate.jackknife import JackknifeSurrogate
from olmix_core.surrogate.refits import Predictor, Regressor
from olmix_core.surrogate.registry import registered_families
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.test_problems import Problem, diminishing_returns
from tests.support.tables import number

FAMILIES = sorted(family.name for family in registered_families() if not family.has_law)
LEAVES = 5


@pytest.fixture(scope="module")
def problem() -> Problem:
    return diminishing_returns(LEAVES, 2).with_noise(0.01)


@pytest.fixture(scope="module")
def evidence(problem: Problem) -> SwarmData:
    return problem.evidence(60, seed=0)


@pytest.fixture(scope="module")
def models(evidence: SwarmData) -> dict[str, Surrogate]:
    return {family: fit(evidence, FitSettings(family=family)) for family in FAMILIES}


def shuffled(evidence: SwarmData, seed: int) -> SwarmData:
    random = np.random.default_rng(seed)
    rows, leaves, tasks = (random.permutation(n) for n in (len(evidence.runs), LEAVES, len(evidence.tasks)))
    return SwarmData(
        evidence.X[np.ix_(rows, leaves)],
        evidence.Y[np.ix_(rows, tasks)],
        tuple(evidence.runs[k] for k in rows),
        tuple(evidence.leaves[j] for j in leaves),
        tuple(evidence.tasks[t] for t in tasks),
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_json_round_trip_predicts_the_same(family: str, models: dict[str, Surrogate], problem: Problem) -> None:
    model = models[family]
    again = load_surrogate(json.loads(json.dumps(model.to_json(), allow_nan=False)))
    Q = problem.mixtures(20, seed=9)
    assert again.predict(Q).tolist() == model.predict(Q).tolist()
    assert again.std(Q).tolist() == model.std(Q).tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_order_changes_nothing(
    family: str, models: dict[str, Surrogate], evidence: SwarmData, problem: Problem
) -> None:
    other = shuffled(evidence, seed=1)
    model, Q = fit(other, FitSettings(family=family)), problem.mixtures(20, seed=9)
    columns = [evidence.leaves.index(leaf) for leaf in other.leaves]
    tasks = [evidence.tasks.index(task) for task in other.tasks]
    assert model.predict(Q[:, columns]) == pytest.approx(models[family].predict(Q)[:, tasks], abs=1e-12)


@pytest.mark.parametrize("family", ["gaussian_process", "bimix", "autoscale", "lightgbm"])
def test_intervals_cover_held_out_measurements(family: str, evidence: SwarmData) -> None:
    errors = cross_validate(evidence, FitSettings(family=family)).table()
    assert 0.75 <= errors["coverage90"].mean() <= 1.0
    assert number(errors, "objective", "spearman") > 0.6


@pytest.mark.parametrize("family", FAMILIES)
def test_missing_measurements_are_left_out(family: str, evidence: SwarmData, problem: Problem) -> None:
    Y = evidence.Y.copy()
    Y[::2, 1] = np.nan
    model = fit(replace(evidence, Y=Y), FitSettings(family=family))
    assert np.isfinite(model.predict(problem.mixtures(5, seed=3))).all()
    assert np.isfinite(model.objective_noises(model.trained_mixtures)).all()
    Y[4:, 1] = np.nan
    with pytest.raises(FitError, match="'task01' was evaluated in 2 runs; expected at least 10"):
        fit(replace(evidence, Y=Y), FitSettings(family=family))


@pytest.mark.parametrize("family", FAMILIES)
def test_proposals_keep_caps_and_groups(family: str, models: dict[str, Surrogate], problem: Problem) -> None:
    caps = np.array([0.5, 0.35, 1.0, 1.0, 0.5])
    groups = Groups(("code",), np.array([[1.0, 1.0, 0.0, 0.0, 0.0]]), np.array([0.2]), np.array([0.5]))
    found = propose(
        models[family], ProposalProblem(expansion=np.eye(LEAVES), natural=problem.natural, caps=caps, groups=groups)
    )
    assert found.gap is None
    assert found.residual <= 1e-8
    assert found.weights.sum() == pytest.approx(1, abs=1e-12)
    assert (found.weights <= caps).all()
    assert 0.2 - 1e-8 <= found.weights[:2].sum() <= 0.5 + 1e-8
    assert problem.objective(found.weights[None])[0] < problem.objective(problem.natural[None])[0] + 0.01
    again = propose(
        models[family], ProposalProblem(expansion=np.eye(LEAVES), natural=problem.natural, caps=caps, groups=groups)
    )
    assert again.weights.tolist() == found.weights.tolist()


def test_no_candidate_beats_a_smooth_proposal(models: dict[str, Surrogate], problem: Problem) -> None:
    model = models["gaussian_process"]
    found = propose(
        model, ProposalProblem(expansion=np.eye(LEAVES), natural=problem.natural, caps=np.ones(LEAVES), kl=0.0)
    )
    others = np.random.default_rng(0).dirichlet(np.ones(LEAVES), 5000)
    assert (model.objective(others) >= found.objective - 1e-4).all()


def test_search_proposes_a_run(models: dict[str, Surrogate], evidence: SwarmData, problem: Problem) -> None:
    settings: dict[str, Any] = {"expansion": np.eye(LEAVES), "natural": problem.natural, "kl": 0.0}
    found = propose(models["search"], ProposalProblem(caps=np.ones(LEAVES), **settings))
    best = np.argmin(evidence.Y.mean(axis=1))
    assert found.weights == pytest.approx(evidence.X[best], abs=1e-9)
    with pytest.raises(ProposalError, match="none of them meets"):
        propose(models["search"], ProposalProblem(caps=np.full(LEAVES, 0.2001), **settings))


def test_pessimistic_proposals_are_less_uncertain(models: dict[str, Surrogate], problem: Problem) -> None:
    model = models["autoscale"]
    settings: dict[str, Any] = {"expansion": np.eye(LEAVES), "natural": problem.natural, "caps": np.ones(LEAVES)}
    bold, careful = (
        propose(model, ProposalProblem(**settings)),
        propose(model, ProposalProblem(**settings, pessimism=5.0)),
    )
    assert model.objective_std(careful.weights) <= model.objective_std(bold.weights) + 1e-6


def mean_of_runs(_: Array, y: Array, weights: Array) -> Predictor:
    value = np.average(y, weights=weights)
    return lambda Q: np.full(len(Q), value)


def fitted_mean(Y: Array) -> JackknifeSurrogate:
    """The mean of Y [K, T], whatever the mixture."""
    runs, tasks = tuple(f"run{k:02d}" for k in range(len(Y))), tuple(f"task{t:04d}" for t in range(Y.shape[1]))
    swarm = SwarmData(np.ones((len(Y), 1)), Y, runs, ("leaf",), tasks)
    return JackknifeSurrogate(Regressor("mean", mean_of_runs), swarm, np.ones(len(Y)))


def test_intervals_of_five_groups_are_those_of_t() -> None:
    """For the mean of normal draws the jackknife is exact, so nine of ten intervals hold the true mean."""
    surrogate = fitted_mean(5 + 0.5 * np.random.default_rng(0).standard_normal((40, 1000)))
    mixture = np.ones((1, 1))
    inside = np.abs(surrogate.predict(mixture) - 5) <= NORMAL_90 * surrogate.std(mixture)
    assert np.mean(inside) == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("complete", [0, 1, 80])
def test_noise_of_the_mean_where_few_runs_are_measured_on_all_tasks(complete: int) -> None:
    random = np.random.default_rng(1)
    Y = 5 + 0.2 * random.standard_normal((80, 12)) + 0.26 * random.standard_normal((80, 1))
    for measured in Y[complete:]:
        measured[random.permutation(12)[:6]] = np.nan
    model = fitted_mean(Y)
    assert model.objective_noises(model.trained_mixtures[:1])[0] == pytest.approx(
        np.hypot(0.2 / 12**0.5, 0.26), rel=0.15
    )
