"""Errors of predictions at the target: they are those of draws of the model."""

import numpy as np
import pytest

from olmix_core.mixture import Array
from olmix_core.surrogate.scaling.anchors import Anchors
from olmix_core.surrogate.scaling.base_law import BaseLaw, MixtureTerms
from olmix_core.surrogate.scaling.errors import TargetErrors, task_correlation
from olmix_core.surrogate.scaling.learning import learn
from olmix_core.surrogate.scaling.scale import Scale
from olmix_core.surrogate.scaling.target_surrogate import TargetSurrogate
from olmix_core.surrogate.scaling.transfer import COMMON_LEVEL, COMMON_RESPONSE, Hyperparameters, TransferModel
from tests.support.scaled_truth import BASE, TARGET, scaled_truth

TRUTH = scaled_truth(change=0.2)
LAW = BaseLaw(TRUTH.law(), BASE)
NEAR = Scale(5e6, 1e8)
Q = TRUTH.problem.mixtures(6, seed=5)
WEIGHTS = np.array([0.5, 0.3, 0.2])
DRAWS = 4000


def model_of(anchors: int) -> TransferModel:
    Q, Y = TRUTH.anchors(anchors, 0).X, TRUTH.anchors(anchors, 0).Y
    return TransferModel(LAW, TARGET, Anchors(Q, Y, tuple((NEAR, TARGET)[k % 2] for k in range(anchors))))


def errors_of(model: TransferModel) -> tuple[TargetErrors, Hyperparameters]:
    hyper = learn(TransferModel(LAW, TARGET, Anchors.none(5, 3)))
    return TargetErrors(model, hyper, model.gains(hyper)), hyper


def shared(random: np.random.Generator, share: float, *shape: int) -> Array:
    """[DRAWS, T, ...] standard normal numbers that tasks have in common to a share."""
    common, own = random.standard_normal((DRAWS, 1, *shape)), random.standard_normal((DRAWS, 3, *shape))
    return np.asarray(share**0.5 * common + (1 - share) ** 0.5 * own)


def drawn_errors(model: TransferModel, predicted: Array) -> Array:
    """[DRAWS, T, n] errors of predictions at the target, where all that is not known is drawn."""
    errors, hyper = errors_of(model)
    random, scales = np.random.default_rng(0), len(model.scales)
    values, vectors = np.linalg.eigh(model.brownian)
    walk = vectors * np.sqrt(np.maximum(values, 0.0))
    sources = model.level_sources(hyper)
    level = np.einsum("tsk,dtk->dts", sources, shared(random, COMMON_LEVEL, sources.shape[2]))
    slope = hyper.slope_spread * shared(random, 0.0, scales) @ walk.T
    slope += hyper.slope_error * random.standard_normal((DRAWS, 1, 1)) * model.ramp
    response = np.einsum("st,dktm->dksm", walk, shared(random, COMMON_RESPONSE, scales, 5))
    response *= hyper.response[:, None, None]
    of_law = random.standard_normal((DRAWS, model.terms.errors.shape[2]))

    def deviations(terms: MixtureTerms, L: Array, bpb: Array, s: Array, scale: slice) -> Array:
        moved = slope[:, :, scale] * terms.away + np.sum(response[:, :, scale] * terms.response, axis=3)
        return level[:, :, scale] * bpb + L * (moved + s * np.einsum("tnr,dr->dtn", terms.errors, of_law))

    at_anchors = deviations(
        model.terms,
        model.levels(hyper.theta)[:, :-1],
        model.expected(hyper),
        1 + hyper.slope * model.ramp[:-1],
        slice(0, -1),
    )
    root = np.linalg.cholesky(task_correlation(model) + 1e-12 * np.eye(3))
    noise = np.einsum("tu,dua->dta", root, random.standard_normal((DRAWS, 3, scales - 1)))
    at_anchors += noise * hyper.noise * model.levels(hyper.theta)[:, :-1] * model.terms.noise
    terms = LAW.terms(Q)
    at_target = deviations(terms, errors.level[:, None], predicted.T, errors.slope[:, None], slice(-1, None))
    pulls = errors.influence(terms, predicted).anchors
    return np.asarray(at_target - np.einsum("tna,dta->dtn", pulls, at_anchors))


@pytest.mark.parametrize("anchors", [0, 5])
def test_variances_are_those_of_draws_of_the_model(anchors: int) -> None:
    model = model_of(anchors)
    errors, hyper = errors_of(model)
    predicted = TargetSurrogate(LAW, TARGET, model.anchors, hyper).predict(Q)
    drawn = drawn_errors(model, predicted)
    influence = errors.influence(LAW.terms(Q), predicted)
    to_first = influence.minus(errors.influence(LAW.terms(Q[:1]), predicted[:1]))
    for weights in (WEIGHTS, *np.eye(3)):
        mean = np.einsum("t,dtn->dn", weights, drawn)
        assert np.sqrt(errors.variances(influence, weights)) == pytest.approx(mean.std(axis=0), rel=0.06)
        differences = (mean - mean[:, :1]).std(axis=0)
        assert np.sqrt(errors.variances(to_first, weights)) == pytest.approx(differences, rel=0.06, abs=1e-9)


def test_anchors_leave_less_open() -> None:
    terms, predicted = LAW.terms(Q), TRUTH.at_target(Q)
    left = []
    for anchors in (0, 2, 4, 8):
        errors, _ = errors_of(model_of(anchors))
        left.append(errors.variances(errors.influence(terms, predicted), WEIGHTS))
    assert (np.diff(left, axis=0) < 0).all()


def test_tasks_of_one_run_correlate_as_at_the_base() -> None:
    correlation = task_correlation(model_of(0))
    assert np.diagonal(correlation) == pytest.approx(1.0)
    assert correlation == pytest.approx(correlation.T)
    assert (np.linalg.eigvalsh(correlation) > -1e-9).all()
