"""Metrics that are not bits per byte: refused by name, values or correlations, and converted on request."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from olmix_core.errors import ConfigError, OlmixError
from olmix_core.interop.metric_units import Metric, check_metrics, suspects
from tests.support.published_swarm import RUNS, Project, read, refused

LOSSES = (2.5, 3.0, 3.5)


def metric(**fields: Any) -> Metric:
    return Metric.model_validate(fields)


@pytest.mark.parametrize(
    ("fields", "values", "expected"),
    [
        ({"as": "bits_per_byte"}, LOSSES, LOSSES),
        ({"as": "nats_per_byte"}, LOSSES, [x / 0.6931471805599453 for x in LOSSES]),
        ({"as": "bits_per_token", "bytes_per_token": 4.0}, LOSSES, [x / 4 for x in LOSSES]),
        ({"as": "nats_per_token", "bytes_per_token": 4.0}, LOSSES, [x * 1.4426950408889634 / 4 for x in LOSSES]),
        (
            {"as": "perplexity", "bytes_per_token": 4.0},
            [math.exp(x) for x in LOSSES],
            [x / math.log(2) / 4 for x in LOSSES],
        ),
        ({"as": "perplexity"}, (2.0, 8.0, 32.0), (1, 3, 5)),
        ({"as": "higher_is_better"}, (0.25, 0.5, 1.0), (0.75, 0.5, 1e-6)),
        ({"as": "higher_is_better", "best": 100}, (25.0, 50.0, 0.0), (0.75, 0.5, 1)),
    ],
)
def test_conversion(fields: dict[str, Any], values: tuple[float, ...], expected: tuple[float, ...]) -> None:
    converted = metric(**fields).convert(pd.Series([*values, np.nan]))
    assert converted.iloc[:-1].to_list() == pytest.approx(expected, rel=1e-12)
    assert math.isnan(converted.iloc[-1])


def test_nats_and_perplexity_of_the_same_text_agree() -> None:
    nats = metric(**{"as": "nats_per_token"}, bytes_per_token=4.3).convert(pd.Series(LOSSES))
    perplexity = metric(**{"as": "perplexity"}, bytes_per_token=4.3).convert(pd.Series(LOSSES).map(math.exp))
    assert nats.to_list() == pytest.approx(perplexity.to_list(), rel=1e-12)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"as": "nats_per_token"}, "found as: nats_per_token without bytes_per_token; expected the bytes"),
        ({"as": "bits_per_token"}, "found as: bits_per_token without bytes_per_token"),
        ({"as": "bits_per_byte", "bytes_per_token": 4}, "expected it for values per token only"),
        ({"as": "perplexity", "best": 100}, "expected it with higher_is_better only"),
        ({"as": "accuracy"}, "Input should be 'bits_per_byte', 'nats_per_byte'"),
    ],
)
def test_invalid_entries(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        metric(**fields)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("_step", "metrics._step: found the name of a tracker's column"),
        ("_runtime", "the name of a tracker's column"),
        ("_timestamp", "the name of a tracker's column"),
        ("train/global_step", "the name of a tracker's column"),
        ("tokens_per_second", "the name of a tracker's column"),
        ("learning_rate", "the name of a tracker's column"),
        ("eval_runtime", "the name of a tracker's column"),
        ("train/globalStep", "the name of a tracker's column"),
        ("gpu_mem", "the name of a tracker's column"),
        ("total_flos", "the name of a tracker's column"),
        ("wall_clock", "the name of a tracker's column"),
        ("eval/c4_en/CrossEntropyLoss", "the name of a loss"),
        ("arcEasyAccuracy", "the name of an accuracy"),
        ("arc_acc", "metrics.arc_acc: found the name of an accuracy"),
        ("squad:f1", "the name of an accuracy"),
        ("humaneval_pass@1", "the name of an accuracy"),
        ("wiki_ppl", "metrics.wiki_ppl: found the name of a perplexity"),
        ("word perplexity", "the name of a perplexity"),
        ("eval/c4/ce_loss", "metrics.eval/c4/ce_loss: found the name of a loss"),
    ],
)
def test_names_that_are_not_of_bits_per_byte(
    write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame, name: str, words: str
) -> None:
    metrics = metrics.assign(**{name: metrics["sums"] * 1.01})
    with refused(ConfigError, words, "expected bits per byte", "filtering.drop_metrics", "as: "):
        read(write(ratios, metrics))
    dropped = read(write(ratios, metrics, filtering={"drop_metrics": [name]}))
    assert dropped.evidence.tasks == ("coding", "reading", "sums")
    kept = read(write(ratios, metrics, metrics={name: {"as": "bits_per_byte"}}))
    assert kept.evidence.Y[:, kept.evidence.tasks.index(name)] == pytest.approx(metrics[name].to_numpy(), abs=0)


@pytest.mark.parametrize(
    "name", ["drop:rc::gen2mc", "arc_challenge:rc::olmes", "mmlu_professional_accounting", "c4_loss_bpb", "timeqa"]
)
def test_names_of_tasks_are_not_taken_for_others(name: str) -> None:
    check_metrics("fit.yaml", {}, pd.DataFrame({name: [1.1, 1.25, 1.3]}))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (lambda k: 30.5 + k, "values outside 0 to 20 .30.5 to 69.5."),
        (lambda k: -0.5 - k / 10, "values outside 0 to 20 .-4.4 to -0.5."),
        (lambda k: 0.0 if k == 3 else 1.5, "values outside 0 to 20 .0 to 1.5."),
        (lambda k: math.inf if k == 3 else 1.5, "values outside 0 to 20 .1.5 to inf."),
        (lambda k: 1 + k % 7, "whole numbers .1 to 7."),
    ],
)
def test_values_that_are_not_bits_per_byte(
    write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame, values: Any, words: str
) -> None:
    metrics = metrics.assign(new=[values(k) for k in range(RUNS)])
    with refused(OlmixError, "metrics.new", words, "filtering.drop_metrics"):
        read(write(ratios, metrics))
    assert len(read(write(ratios, metrics, eval={"tasks": {"all": ["sums"]}})).evidence.tasks) == 1


def test_an_accuracy_is_told_by_its_correlations(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    metrics = metrics.assign(reading=metrics["sums"] + 0.1, coding=metrics["sums"] * 1.1)
    metrics = metrics.assign(trivia=0.9 - 0.2 * metrics["sums"])
    with refused(ConfigError, "metrics.trivia: found values that rise where those of all others fall", "higher_is"):
        read(write(ratios, metrics))
    swarm = read(write(ratios, metrics, metrics={"trivia": {"as": "higher_is_better"}}))
    trivia = swarm.evidence.Y[:, swarm.evidence.tasks.index("trivia")]
    assert trivia == pytest.approx(0.1 + 0.2 * metrics["sums"].to_numpy(), rel=1e-12)
    assert swarm.scales == {"trivia": "1 - value / 1"}
    note = "trivia: higher_is_better converted to 1 - value / 1, which the mean over tasks takes as BPB"
    assert note in swarm.notes


def test_all_columns_of_one_kind_are_named_at_once(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    metrics = metrics.assign(_step=1.5, _runtime=2.5)
    with refused(ConfigError, "metrics._runtime: found the name of a tracker's column .2.5 to 2.5., as in _step"):
        read(write(ratios, metrics))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"Sums": {"as": "perplexity"}}, ("metrics.Sums: found 'Sums'", "there is 'sums', which differs by")),
        ({"sums": {"as": "higher_is_better"}}, ("metrics.sums: found 1.*in run", "`best` is the largest")),
        ({"small": {"as": "perplexity"}}, ("metrics.small: found 0.4 in run r00", "expected a perplexity above 1")),
        ({"sums": {"as": "nats_per_token"}}, ("metrics.sums: found as: nats_per_token without bytes_per_token",)),
    ],
)
def test_entries_that_do_not_fit(
    write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame, given: dict[str, Any], words: tuple[str, ...]
) -> None:
    with refused(ConfigError, *words):
        read(write(ratios, metrics.assign(small=0.4), metrics=given))


def test_subjects_of_mmlu_are_converted_before_they_are_averaged(
    write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame
) -> None:
    shares = {"mmlu_astronomy:acc": metrics["sums"] / 10, "mmlu_machine_learning:acc": metrics["coding"] / 10}
    with refused(ConfigError, "metrics.mmlu_astronomy:acc: found the name of an accuracy"):
        read(write(ratios, metrics.assign(**shares)))
    units = {name: {"as": "higher_is_better"} for name in shares}
    swarm = read(write(ratios, metrics.assign(**shares), metrics=units))
    expected = 1 - (152 * metrics["sums"] + 112 * metrics["coding"]) / 10 / 264
    assert swarm.evidence.Y[:, swarm.evidence.tasks.index("mmlu_stem")] == pytest.approx(expected.to_numpy())
    assert swarm.scales == {"mmlu_stem": "1 - value / 1"}
    mixed = {"mmlu_astronomy:acc": {"as": "higher_is_better"}, "mmlu_machine_learning:acc": {"as": "bits_per_byte"}}
    with refused(ConfigError, "several units in mmlu_stem"):
        read(write(ratios, metrics.assign(**shares), metrics=mixed))


def test_a_tracker_column_among_the_ratios(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    with refused(OlmixError, "found values of 0 to 39 in column _step", "expected weights of 0 to 1", "no domains"):
        read(write(ratios.assign(_step=range(RUNS)), metrics))


def test_suspects_are_what_a_check_refuses() -> None:
    metrics = pd.DataFrame({"a": [1.5, 1.6, 1.7], "a_loss": [1.5, 1.6, 1.7], "n": [1, 2, 3], "big": [25.5, 2.5, 1.5]})
    assert suspects(metrics) == ["a_loss", "n", "big"]
