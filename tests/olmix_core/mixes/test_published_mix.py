"""A mix read back: what it predicts is what its record says, and what it is asked wrongly is told."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from olmix_core.errors import OlmixError
from olmix_core.mixes.loading import load_folder
from olmix_core.mixes.published_mix import PublishedMix
from olmix_core.report.charts import plot


@pytest.fixture
def mix(fitted: Path) -> PublishedMix:
    return load_folder(fitted)


def test_it_says_of_the_proposed_mixture_what_the_record_says(mix: PublishedMix) -> None:
    found = mix.predict().to_json()
    for name in ("bpb", "low", "high"):
        assert found["objective"][name] == pytest.approx(getattr(mix.record.predicted["proposed"], name), abs=1e-12)
        assert found["gain"]["over_natural"][name] == pytest.approx(
            getattr(mix.record.gain["over_natural"], name), abs=1e-12
        )
    by_task = {task.name: task.proposed for task in mix.record.tasks}
    assert {task: one["bpb"] for task, one in found["tasks"].items()} == pytest.approx(by_task)
    assert found["broken_caps"] == []
    assert sum(found["weights"].values()) == pytest.approx(1)


def test_families_are_those_on_record_and_weigh_tasks_as_the_objective_does(mix: PublishedMix) -> None:
    assert mix.families == {"code": ["coding"], "reading": ["read_books", "read_news"]}
    found = mix.predict()
    reading = np.mean([found.tasks[task].bpb for task in ("read_books", "read_news")])
    assert found.families["reading"].bpb == pytest.approx(reading)
    # coding weighs 2 of 4
    assert found.objective.bpb == pytest.approx(0.5 * reading + 0.5 * found.families["code"].bpb)


def test_families_from_names_where_none_are_on_record(mix: PublishedMix) -> None:
    tasks = tuple(task.model_copy(update={"family": None}) for task in mix.record.tasks)
    mix = replace(mix, record=mix.record.model_copy(update={"tasks": tasks}))
    assert mix.families == {"coding": ["coding"], "read": ["read_books", "read_news"]}


def test_other_task_weights(mix: PublishedMix) -> None:
    only = mix.predict(task_weights={"coding": 3.0})
    assert only.objective == only.families["code"] == only.tasks["coding"]
    with pytest.raises(OlmixError, match=r"found the task 'sums'; expected one of: .*coding"):
        mix.predict(task_weights={"sums": 1.0})


def test_broken_caps_are_named(mix: PublishedMix) -> None:
    found = mix.predict({"code:c": 0.5, "web:news": 0.5})
    [broken] = found.broken
    assert (broken.domain, broken.weight) == ("code:c", 0.5)
    assert broken.cap == pytest.approx(4 * 3e8 / 8e9)
    assert broken.epochs == pytest.approx(0.5 * 8e9 / 3e8)


@pytest.mark.parametrize(
    ("mixture", "words"),
    [
        ({"wob:news": 1.0}, r"found the domain 'wob:news'; expected one of: .*web:news"),
        ({"web:news": 1.2, "code:c": -0.2}, r"code:c: found the weight -0.2; expected a number >= 0"),
        ({"web:news": float("nan")}, "found the weight nan"),
        ({"web:news": 0.4}, r"weights that sum to 0.4; expected 1"),
    ],
)
def test_a_mixture_that_is_none_is_refused(mix: PublishedMix, mixture: dict[str, float], words: str) -> None:
    with pytest.raises(OlmixError, match=words):
        mix.predict(mixture)


def test_weights_that_rounding_left_below_0_are_0(mix: PublishedMix) -> None:
    exact, rounded = {"web:news": 1.0, "code:c": 0.0}, {"web:news": 1.0, "code:c": -2e-17}
    assert mix.vector(rounded).tolist() == mix.vector(exact).tolist()
    assert (mix.vector({"web:news": 1.0000000003, "code:c": -3e-10}) >= 0).all()
    with pytest.raises(OlmixError, match=r"code:c: found the weight -1e-06; expected a number >= 0"):
        mix.vector({"web:news": 1.000001, "code:c": -1e-6})


def test_evidence_as_a_table(mix: PublishedMix) -> None:
    table = mix.evidence
    assert len(table) == 40
    assert pd.DataFrame(table["mixture"]).sum(axis=1).to_numpy() == pytest.approx(np.ones(40))
    assert list(table["measured"].columns) == list(mix.surrogate.tasks)
    errors = (pd.DataFrame(table["measured"]) - pd.DataFrame(table["predicted"])).abs().mean()
    assert errors.to_dict() == pytest.approx(mix.diagnostics.loc[list(mix.surrogate.tasks), "mae"].to_dict())


def test_plot_draws_a_chart_or_names_those_there_are(mix: PublishedMix) -> None:
    assert plot(mix, "mixture").get_axes()
    with pytest.raises(OlmixError, match="found 'pie'; expected one of: mixture"):
        plot(mix, "pie")


def test_predictions_are_plain_json(mix: PublishedMix) -> None:
    found = mix.predict({"code:c": 1.0})
    assert json.loads(json.dumps(found.to_json(), allow_nan=False)) == found.to_json()
    assert list(found.to_frame().columns) == ["bpb", "low", "high"]


def test_the_same_wishes_give_the_same_mixture_and_others_another(mix: PublishedMix) -> None:
    assert mix.propose() == pytest.approx(mix.record.weights, abs=1e-6)
    freer = mix.propose(repetition=40.0)
    assert freer["code:c"] > mix.record.weights["code:c"] + 0.05
    held = mix.propose(lower={"web:news": 0.5}, upper={"code:c": 0.01})
    assert held["web:news"] >= 0.5 - 1e-9
    assert held["code:c"] <= 0.01 + 1e-9
    natural = dict(zip(mix.leaves, mix.mixtures["natural"].tolist(), strict=True))
    assert mix.propose(kl=1000.0) == pytest.approx(natural, abs=1e-3)
    assert mix.predict(mix.propose(task_weights={"coding": 1})).tasks["coding"].bpb < mix.predict().tasks["coding"].bpb
    with pytest.raises(OlmixError, match="limits: found the domain 'wob'"):
        mix.propose(lower={"wob": 0.5})
