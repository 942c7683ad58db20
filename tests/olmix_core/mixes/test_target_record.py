"""What a record says at the size of the target run."""

import numpy as np
import pytest

from olmix_core.mixes.target_record import TargetRecord, target_record, target_remarks
from olmix_core.surrogate.intervals import interval
from olmix_core.surrogate.scaling.anchors import Anchors
from olmix_core.surrogate.scaling.scale import Scale
from olmix_core.surrogate.scaling.target_surrogate import TargetSurrogate
from tests.support.scaled_truth import BASE, TARGET, scaled_truth

TRUTH = scaled_truth()
WEIGHTS = np.array([0.5, 0.25, 0.25])
MIXTURES = {"natural": TRUTH.problem.natural, "proposed": TRUTH.problem.optimum}
NAMES = ("c", "a", "b")


@pytest.fixture(scope="module")
def carried() -> TargetSurrogate:
    return TargetSurrogate.carry(TRUTH.law(), BASE, TARGET, TRUTH.anchors(4, seed=0))


@pytest.fixture(scope="module")
def record(carried: TargetSurrogate) -> TargetRecord:
    return target_record(carried, MIXTURES, WEIGHTS, NAMES)


def test_predictions_and_gains_are_those_of_the_law_at_the_target(
    record: TargetRecord, carried: TargetSurrogate
) -> None:
    assert record.predicted["natural"] == interval(carried, MIXTURES["natural"], WEIGHTS)
    assert record.gain == {"over_natural": interval(carried, MIXTURES["proposed"], WEIGHTS, MIXTURES["natural"])}
    assert [task.name for task in record.tasks] == ["a", "b", "c"]
    slopes = {task.name: task.slope for task in record.tasks}
    assert slopes == dict(zip(NAMES, carried.slopes.tolist(), strict=True))
    for task in record.tasks:
        assert task.gain.bpb == pytest.approx(task.natural - task.proposed)


def test_sizes_are_stated_and_what_lies_beyond_them(record: TargetRecord) -> None:
    assert record.size.scale == TARGET
    assert record.proxies.scale == BASE
    assert [(size.scale, size.runs) for size in record.measured] == [(TARGET, 4)]
    assert record.extrapolation == 1
    assert record.words == "at 30M parameters and 600M tokens, within the sizes measured"


def test_a_target_beyond_all_that_was_measured_says_how_far(carried: TargetSurrogate) -> None:
    far = Scale(TARGET.parameters * 10, TARGET.tokens * 10)
    words = target_record(carried.at(far), MIXTURES, WEIGHTS, NAMES).words
    assert words == (
        "at 300M parameters and 6B tokens, extrapolated 100 times in FLOPs beyond the largest run measured"
    )


def test_what_the_slopes_rest_on_is_said(record: TargetRecord) -> None:
    assert record.basis == "learnt from 4 larger runs"
    alone = record.model_copy(update={"anchors": 0})
    assert alone.basis == "no larger run was measured: only published exponents are known"


def test_predictions_between_the_sizes_end_at_those_of_the_record(record: TargetRecord) -> None:
    first, last = record.over_size[0], record.over_size[-1]
    assert (first.parameters, first.tokens) == (BASE.parameters, BASE.tokens)
    assert last.natural.bpb == pytest.approx(record.predicted["natural"].bpb)
    assert last.proposed.high == pytest.approx(record.predicted["proposed"].high)


def test_it_is_read_as_it_was_written(record: TargetRecord) -> None:
    assert TargetRecord.model_validate(record.to_json()) == record


def test_a_gain_that_is_within_the_noise_names_what_would_decide_it(carried: TargetSurrogate) -> None:
    law = carried.base.law
    far = Scale(BASE.parameters * 3000, BASE.tokens * 3000)
    alone = TargetSurrogate.carry(law, BASE, far, carried.anchors.none(len(law.leaves), len(law.tasks)))
    natural, best = TRUTH.problem.natural, TRUTH.problem.optimum
    for share in np.linspace(1.0, 0.05, 20):
        mixtures = {"natural": natural, "proposed": share * best + (1 - share) * natural}
        if remarks := target_remarks(alone, mixtures, WEIGHTS, NAMES):
            assert "half of them on the natural and half on the proposed mixture, would narrow it to" in remarks[0]
            assert "of the target run" in remarks[0]
            return
    pytest.fail("found no gain within the noise that further anchors decide")


def test_a_task_whose_differences_reverse_is_named(carried: TargetSurrogate) -> None:
    anchors = carried.anchors
    measured = anchors.Y.copy()
    measured[:, 0] = 2 * measured[:, 0].mean() - measured[:, 0]
    many = Anchors(np.repeat(anchors.X, 8, axis=0), np.repeat(measured, 8, axis=0), anchors.scales * 8)
    turned = TargetSurrogate.carry(carried.base.law, BASE, TARGET, many)
    assert turned.slopes[0] < 0 < turned.slopes[1]
    remarks = target_remarks(turned, MIXTURES, WEIGHTS, NAMES)
    assert remarks[0].startswith("task c: the larger runs say that differences between mixtures reverse at the target")
    assert turned.fitted_law.is_convex
