"""Inputs of a fit: which runs are fitted, and the weights of tasks and domains."""

import pandas as pd
import pytest

from olmix_core.errors import ConfigError
from tests.support.published_swarm import RUNS, Project, refused, run


def test_the_split_does_not_depend_on_the_order_of_rows(
    write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame
) -> None:
    settings = {"n_test": 8, "train_split": 24, "seed": 3}
    straight = run(write(ratios, metrics, regression=settings))
    shuffled = run(write(ratios.iloc[::-1], metrics, regression=settings))
    assert straight.record.evidence.held_out == RUNS - 24
    assert straight.held_out is not None
    assert shuffled.held_out is not None
    assert straight.held_out.equals(shuffled.held_out)
    published = run(write(ratios.iloc[::-1], metrics, regression=settings), published_behaviour=True)
    assert published.held_out is not None
    assert not straight.held_out.equals(published.held_out)


def test_fewer_runs_than_parameters_are_noted(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    fit = run(write(ratios.head(5), metrics))
    assert any("5 runs for 7 parameters" in note for note in fit.record.notes)
    few = run(write(ratios.head(12).iloc[:, :], metrics, regression={"train_split": 5}))
    assert any("5 runs for 7 parameters" in note for note in few.record.notes)


def test_fixed_weights(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    fit = run(write(ratios, metrics, filtering={"fixed_weight": {"web:blogs": "1/8", "math": 0.25}}))
    weights = fit.record.weights
    assert weights["web:blogs"] == pytest.approx(0.125, abs=1e-9)
    assert weights["math"] == pytest.approx(0.25, abs=1e-9)
    with refused(ConfigError, "filtering.fixed_weight", "'web'"):
        run(write(ratios, metrics, filtering={"fixed_weight": {"web": 0.5}}))


def test_task_weights(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    coding = run(write(ratios, metrics, filtering={"obj_weights": {"coding": 10}})).record.weights
    sums = run(write(ratios, metrics, filtering={"obj_weights": {"sums": 10}})).record.weights
    assert coding["code:c"] > sums["code:c"]
    assert sums["math"] > coding["math"]
    with refused(ConfigError, "filtering.obj_weights.trivia", "coding, reading, sums"):
        run(write(ratios, metrics, filtering={"obj_weights": {"trivia": 1}}))


def test_published_behaviour_does_not_divide_by_the_task_weights(
    write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame
) -> None:
    path = write(ratios, metrics, filtering={"obj_weights": {"coding": 98}}, constraints={"enabled": False})
    ours, published = run(path), run(path, published_behaviour=True)
    assert any("sum to 100" in line for line in ours.record.differences)
    # A hundredth of the KL term lets it go nearly wherever the tasks want.
    assert published.table["weight"].max() > ours.table["weight"].max()
