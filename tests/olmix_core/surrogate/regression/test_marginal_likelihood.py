"""The covariance that all tasks share, against densities computed run by run and against known truths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from olmix_core.surrogate.regression.marginal_likelihood import (
    Components,
    Moments,
    learn_covariance,
    task_scales,
)
from tests.support.properties import examples

SEEDS = st.integers(0, 2**31)


def centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean(axis=0)


def draw(random: np.random.Generator, runs: int, covariance: np.ndarray, tasks: int) -> tuple[np.ndarray, np.ndarray]:
    """A design, and responses of tasks whose coefficients have the covariance; the noise has standard deviation 0.1."""
    design = random.standard_normal((runs, len(covariance)))
    coefficients = np.linalg.cholesky(covariance) @ random.standard_normal((len(covariance), tasks))
    return centred(design), centred(design @ coefficients + 0.1 * random.standard_normal((runs, tasks)))


def shared_block(leaves: int, members: int) -> np.ndarray:
    block = np.zeros((leaves, leaves))
    block[:members, :members] = 1.0
    return block


def components(leaves: int, members: int) -> Components:
    return Components(
        leaves=leaves,
        shared=[shared_block(leaves, members)],
        centre=np.array([*([0.0] * leaves), -1.0]),
        spread=np.array([*([0.5] * leaves), 2.0]),
    )


@given(seed=SEEDS, runs=st.integers(4, 30), leaves=st.integers(2, 8))
@examples(10)
def test_the_scales_of_a_task_maximise_the_density_of_its_runs(seed: int, runs: int, leaves: int) -> None:
    random = np.random.default_rng(seed)
    covariance = np.diag(random.uniform(0.5, 2.0, leaves))
    design, Z = draw(random, runs, covariance, tasks=2)
    moments = Moments.of(design, Z, np.ones(runs))
    scales = task_scales(moments, covariance)
    # Without its mean a response has runs - 1 degrees of freedom: rotate to that many.
    basis = np.linalg.svd(np.eye(runs) - 1 / runs)[0][:, : runs - 1]
    signal = basis.T @ design @ covariance @ design.T @ basis

    unit = (runs - 1) / np.trace(moments.gram)

    def surprise(log_ratio: float, task: int) -> float:
        ratio, z = np.exp(log_ratio), basis.T @ Z[:, task]
        shape = np.eye(runs - 1) + ratio * signal
        noise = z @ np.linalg.solve(shape, z) / (runs - 1)
        density = multivariate_normal(cov=noise * shape, allow_singular=True).logpdf(z)
        return float(0.5 * (np.log(ratio / unit) / 3.0) ** 2 - density)

    for task in range(2):
        best = np.log(scales.ratio[task])
        assert surprise(best, task) <= min(surprise(best + step, task) for step in (-0.2, 0.2)) + 1e-6
        constant = 0.5 * (runs - 1) * (1 + np.log(2 * np.pi))
        assert scales.surprise[task] + constant == pytest.approx(surprise(best, task), abs=1e-6 * runs)


@given(seed=SEEDS)
@examples(10)
def test_what_is_learnt_has_no_slope_left(seed: int) -> None:
    random = np.random.default_rng(seed)
    form = components(6, 3)
    design, Z = draw(random, 15, form.covariance(form.centre), tasks=8)
    moments = Moments.of(design, Z, np.ones(15))
    theta = learn_covariance([moments], form)

    def objective(theta: np.ndarray) -> float:
        away = (theta - form.centre) / form.spread
        return float(task_scales(moments, form.covariance(theta)).surprise.sum() + 0.5 * away @ away)

    least = objective(theta)
    for direction in np.vstack([np.eye(7), random.standard_normal((5, 7))]):
        assert least <= min(objective(theta + step * direction) for step in (-0.3, 0.3)) + 1e-3


def test_variances_are_recovered_from_many_tasks() -> None:
    random = np.random.default_rng(0)
    variances = np.array([4.0, 4.0, 1.0, 1.0, 0.2, 0.2])
    design, Z = draw(random, 40, np.diag(variances), tasks=300)
    form = Components(leaves=6, shared=[], centre=np.zeros(6), spread=np.full(6, 2.0))
    learnt = np.exp(learn_covariance([Moments.of(design, Z, np.ones(40))], form))
    assert learnt / learnt.mean() == pytest.approx(variances / variances.mean(), rel=0.25)


def test_leaves_that_act_alike_get_a_shared_variance() -> None:
    random = np.random.default_rng(1)
    form = components(8, 4)
    alike, unrelated = np.eye(8) + 3 * shared_block(8, 4), np.eye(8)
    shares = []
    for covariance in (alike, unrelated):
        design, Z = draw(random, 30, covariance, tasks=100)
        shares.append(np.exp(learn_covariance([Moments.of(design, Z, np.ones(30))], form))[-1])
    assert shares[0] > 1.0
    assert shares[1] < 0.1


def test_runs_of_weight_zero_and_the_order_of_runs_change_nothing() -> None:
    random = np.random.default_rng(2)
    design, Z = draw(random, 20, np.eye(5), tasks=4)
    order = random.permutation(20)
    once = Moments.of(design, Z, np.ones(20))
    shuffled = Moments.of(design[order], Z[order], np.ones(20))
    padded = Moments.of(np.vstack([design, design[:3]]), np.vstack([Z, Z[:3]]), np.r_[np.ones(20), np.zeros(3)])
    for other in (shuffled, padded):
        assert other.freedom == once.freedom
        assert task_scales(other, np.eye(5)).ratio == pytest.approx(task_scales(once, np.eye(5)).ratio, rel=1e-6)
