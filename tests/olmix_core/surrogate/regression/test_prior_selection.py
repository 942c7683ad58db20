"""Several swarms in one fit: levels, kin and weights, against truths that are known."""

from dataclasses import replace

import numpy as np
import pytest

from olmix_core.errors import FitError
from olmix_core.surrogate.cross_validation import Diagnostics
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import cross_validate, fit_law
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.regression.laws import Law
from olmix_core.surrogate.regression.prior import SwarmPrior
from olmix_core.surrogate.regression.prior_selection import swarm_diagnostics
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.test_problems import Problem, diminishing_returns
from tests.support.tables import number

PROBLEM = diminishing_returns(6, 4).with_noise(0.01)


def two_swarms(problem: Problem = PROBLEM, old: float = 0.0, runs: int = 24) -> tuple[SwarmData, SwarmPrior]:
    """An old swarm that lies `old` BPB too high, and a new one."""
    parts = [problem.evidence(runs, seed=1), problem.evidence(runs, seed=2)]
    Y = np.vstack([parts[0].Y + old, parts[1].Y])
    names = tuple(f"{swarm}{k}" for swarm in ("a", "b") for k in range(runs))
    evidence = SwarmData(np.vstack([part.X for part in parts]), Y, names, parts[0].leaves, parts[0].tasks)
    return evidence, SwarmPrior({run: run[0] for run in names}, "b")


def error(surrogate: LawSurrogate, problem: Problem = PROBLEM) -> float:
    Q = problem.mixtures(100, seed=9)
    return float(np.abs(surrogate.predict(Q) - problem.bpb(Q)).mean())


def test_an_uninformative_prior_changes_nothing() -> None:
    evidence, _ = two_swarms()
    pool = SwarmPrior(dict.fromkeys(evidence.runs, "b"), "b", source_correlation=0.0)
    plain = fit_law(evidence, FitSettings(family="diminishing_returns", gamma=0.6))
    pooled = fit_law(evidence, FitSettings(family="diminishing_returns", gamma=0.6, prior=pool))
    np.testing.assert_allclose(pooled.parameters.v, plain.parameters.v, atol=1e-4)
    Q = PROBLEM.mixtures(5, seed=3)
    np.testing.assert_allclose(pooled.std(Q), plain.std(Q), rtol=1e-4)


def test_levels_are_estimated_and_predictions_are_for_the_newest_swarm() -> None:
    evidence, pool = two_swarms(old=0.2)
    stacked = fit_law(evidence, FitSettings(family="diminishing_returns", gamma=0.6))
    pooled = fit_law(evidence, FitSettings(family="diminishing_returns", gamma=0.6, prior=pool))
    assert pooled.prior is not None
    assert pooled.prior.level_precision is not None
    assert error(pooled) < 0.3 * error(stacked)
    assert pooled.covariance.pooled is not None
    assert (pooled.covariance.pooled.offsets > 0.05).all()


def test_swarms_at_one_level_keep_it() -> None:
    evidence, pool = two_swarms()
    pooled = fit_law(evidence, FitSettings(family="diminishing_returns", gamma=0.6, prior=pool))
    new = evidence.rows(np.arange(24, 48))
    assert error(pooled) < error(fit_law(new, FitSettings(family="diminishing_returns", gamma=0.6)))


def test_a_misleading_swarm_gets_a_low_weight_and_a_note() -> None:
    evidence, pool = two_swarms()
    Y = evidence.Y.copy()
    Y[:24] = np.random.default_rng(0).permutation(Y[:24])
    misled = replace(evidence, Y=Y)
    pooled = fit_law(misled, FitSettings(family="diminishing_returns", gamma=0.6, prior=pool))
    assert pooled.prior is not None
    assert pooled.prior.weights["a"] < 1
    assert any("swarm a" in note for note in pooled.notes)
    found = swarm_diagnostics(misled, pooled.law, FitSettings(), pooled.prior, np.ones(48))
    assert [one.swarm for one in found] == ["a", "b"]
    assert found[0].error > 0.8  # as good as nothing known of it
    good = swarm_diagnostics(evidence, pooled.law, FitSettings(), pool, np.ones(48))
    assert all(one.error < 0.5 for one in good)


def test_related_leaves_share_variance() -> None:
    leaves = tuple("abcde")
    pool = SwarmPrior(
        {}, "x", sources=(("a", "b"),), revised={"d": "c"}, source_correlation=3.0, revision_correlation=1e6
    )
    covariance = np.linalg.inv(pool.precision(leaves, 0))
    np.testing.assert_allclose(np.diag(covariance), 1, rtol=1e-6)  # a leaf without kin as well
    np.testing.assert_allclose(covariance[0, 1], 3 / 4)
    assert covariance[2, 3] == pytest.approx(1, abs=1e-5)
    # 'leaf005' is seen by the old runs, its revision by none: it is predicted as its predecessor
    evidence = PROBLEM.evidence(40, seed=1)
    wide = SwarmData(
        np.column_stack([evidence.X, np.zeros(40)]), evidence.Y, evidence.runs, (*evidence.leaves, "v2"), evidence.tasks
    )
    heir = SwarmPrior(dict.fromkeys(evidence.runs, "b"), "b", revised={"v2": "leaf005"}, revision_correlation=1e4)
    a = fit_law(wide, FitSettings(family="diminishing_returns", gamma=0.6, prior=heir)).parameters.v
    np.testing.assert_allclose(a[:, 6], a[:, 5], atol=1e-2)


def test_a_source_of_all_leaves_relates_none_of_them() -> None:
    leaves = tuple("abc")
    np.testing.assert_array_equal(SwarmPrior({}, "x", sources=(leaves,)).precision(leaves, 0), np.eye(3))
    assert SwarmPrior({}, "x", sources=(leaves,)).precision((*leaves, "d"), 0)[0, 1] < 0


def sources_matter(seed: int) -> tuple[Problem, SwarmPrior, SwarmData]:
    """12 leaves, of two sources and two without kin, whose effects are nearly those of their source; 8 runs."""
    problem = diminishing_returns(12, 4, seed=seed).with_noise(0.01)
    by_source = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 3])
    random = np.random.default_rng(seed)
    v = random.exponential(0.8, (4, 4))[:, by_source] * random.uniform(0.8, 1.25, (4, 12))
    problem = replace(problem, parameters=replace(problem.parameters, v=v))
    evidence = problem.evidence(8, seed=seed)
    sources = (evidence.leaves[:5], evidence.leaves[5:10])
    return problem, SwarmPrior(dict.fromkeys(evidence.runs, "b"), "b", sources), evidence


def test_a_single_swarm_learns_from_its_sources() -> None:
    errors = []
    for seed in range(6):
        problem, prior, evidence = sources_matter(seed)
        settings = FitSettings(family="diminishing_returns", gamma=0.6)
        errors.append([error(fit_law(evidence, replace(settings, prior=each)), problem) for each in (None, prior)])
    without, with_sources = np.mean(errors, axis=0)
    assert with_sources < 0.85 * without


def test_the_similarity_of_sources_is_selected_for_a_single_swarm() -> None:
    problem = diminishing_returns(6, 4).with_noise(0.002)
    evidence = problem.evidence(60, seed=1)
    v = np.zeros((4, 6))
    v[:, ::2] = 2.0  # leaves of a source have nothing in common
    unlike = replace(problem, parameters=replace(problem.parameters, v=v))
    wrong = SwarmPrior(dict.fromkeys(evidence.runs, "b"), "b", (evidence.leaves[:2], evidence.leaves[2:4]))
    settings = FitSettings(family="diminishing_returns", gamma=0.6, prior=wrong)
    few = unlike.evidence(60, seed=1).rows(np.arange(10))
    selected = fit_law(few, settings).prior
    assert selected is not None
    assert selected.source_correlation == 0


def test_errors_are_those_of_the_newest_swarm() -> None:
    """Old runs lie at another level than the newest, which is predicted, and tell nothing of its errors."""
    evidence, pool = two_swarms(old=0.3)
    settings = FitSettings(family="diminishing_returns", gamma=0.6, prior=pool)
    diagnostics = cross_validate(evidence, settings)
    assert diagnostics.runs == evidence.runs[24:]
    table, held_out = diagnostics.table(), PROBLEM.evidence(200, seed=7)
    of_new_runs = Diagnostics.of_runs(fit_law(evidence, settings), held_out, None).table()
    assert number(table, "objective", "mae") < 2 * number(of_new_runs, "objective", "mae")
    assert diagnostics.error_towards_the_best < 0.4
    few = replace(pool, swarms={run: "b" if k > 42 else "a" for k, run in enumerate(evidence.runs)})
    assert cross_validate(evidence, replace(settings, prior=few)).runs == evidence.runs


def test_order_and_json_change_nothing() -> None:
    evidence, pool = two_swarms(old=0.1)
    pool = replace(pool, sources=(evidence.leaves[:3], evidence.leaves[3:]))
    pooled = fit_law(evidence, FitSettings(family="diminishing_returns", gamma=0.6, prior=pool))
    again = LawSurrogate.from_json(pooled.to_json())
    Q = PROBLEM.mixtures(5, seed=3)
    np.testing.assert_array_equal(again.predict(Q), pooled.predict(Q))
    np.testing.assert_array_equal(again.std(Q), pooled.std(Q))
    assert again.prior == pooled.prior
    order = np.random.default_rng(0).permutation(48)
    shuffled = fit_law(evidence.rows(order), FitSettings(family="diminishing_returns", gamma=0.6, prior=pool))
    np.testing.assert_array_equal(shuffled.predict(Q), pooled.predict(Q))


def test_a_run_without_swarm_is_refused() -> None:
    evidence, pool = two_swarms()
    with pytest.raises(FitError, match="swarm"):
        fit_law(evidence, FitSettings(family="diminishing_returns", prior=replace(pool, swarms={})))


def test_diagnostics_of_swarms_for_either_law() -> None:
    evidence, pool = two_swarms()
    found = swarm_diagnostics(evidence, Law("log_linear"), FitSettings(), pool, np.ones(48))
    assert {one.runs for one in found} == {24}
