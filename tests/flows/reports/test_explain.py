"""Why something would run again: the exact field, and the root of the chain."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.pipeline import train_swarm as training
from flows.pipeline.forecast import forecast
from flows.reports.explain import Reason, explain, explain_version
from olmix_core.config.load import load_config
from olmix_core.mixes.versions import read_mix
from olmix_core.storage.store import Store
from tasks.steps.train import train

Run = Callable[[Path], tuple[dict[str, Any], dict[str, int]]]
Edit = Callable[..., Path]


@pytest.fixture
def edited(finished: Callable[..., Edit]) -> Edit:
    return finished()


def reasons(config: Path) -> dict[str, Reason]:
    loaded = load_config(config)
    store = Store(loaded.store)
    found = explain(forecast(loaded, str(config)), read_mix(store, loaded.name), store)
    return {reason.title: reason for reason in found}


def test_a_learning_rate(edited: Edit) -> None:
    found = reasons(edited(lambda config: config["proxy"].update(learning_rate=1e-3)))
    train = found["train"]
    assert (train.cause, train.count) == ("PARAMS", 6)
    [difference] = train.differences
    assert (difference.field, difference.old, difference.new) == ("recipe.learning_rate", 8e-3, 1e-3)
    assert found["evaluate"].cause == "UPSTREAM"
    assert found["evaluate"].chain == ("train",)
    assert found["propose"].chain == ("fit", "evidence", "evaluate", "train")
    assert found["propose"].root == train.root
    assert "recipe.learning_rate: 0.008 -> 0.001" in train.root
    assert set(found) == {"train", "evaluate", "evidence", "fit", "propose"}


def test_one_appended_line_in_one_file(edited: Edit, tmp_path: Path) -> None:
    config = edited()
    before = {leaf.label: leaf.fingerprint for leaf in read_mix(Store(str(tmp_path / "store")), "test").domain_set}
    with (tmp_path / "guide.jsonl").open("a") as file:
        file.write(json.dumps({"text": "one more line"}) + "\n")
    found = reasons(config)
    counted = found["statistics guide"]
    assert counted.cause == "DATA"
    [difference] = counted.differences
    assert difference.field == "content"
    assert difference.old == before["guide"]
    assert difference.new != before["guide"]
    assert found["plan"].cause == "DATA"
    assert "guide" in found["plan"].root
    assert found["train"].chain[0] == "swarm"
    assert not any(name.startswith("statistics") and name != "statistics guide" for name in found)


def test_a_new_task(edited: Edit) -> None:
    found = reasons(edited(lambda config: config["evaluation"]["tasks"].append({"file": "task.jsonl"})))
    assert found["evaluate"].cause == "EVAL"
    assert found["evaluate"].differences[0].field == "task"
    assert "train" not in found
    assert found["fit"].chain[-1] == "evaluate"


def test_a_raised_code_version(edited: Edit, monkeypatch: pytest.MonkeyPatch) -> None:
    config = edited()
    raised = dataclasses.replace(train, code_version=train.code_version + 1)
    monkeypatch.setattr(training, "train", raised)
    found = reasons(config)
    [difference] = found["train"].differences
    assert found["train"].cause == "CODE"
    assert (difference.field, difference.new) == ("code_version", raised.code_version)


def test_another_run_length(edited: Edit) -> None:
    found = reasons(edited(lambda config: config.update(proposal={"target_tokens": 300_000})))
    assert set(found) == {"propose"}
    [difference] = found["propose"].differences
    assert found["propose"].cause == "PARAMS"
    assert (difference.field, difference.old, difference.new) == ("target_tokens", None, 300_000.0)


def test_nothing_to_explain(edited: Edit) -> None:
    assert reasons(edited()) == {}


def test_a_version_is_explained_after_later_ones(run: Run, edited: Edit, tmp_path: Path) -> None:
    run(edited(lambda config: config.update(proposal={"kl": 0.5})))
    run(edited(lambda config: config.update(proposal={"kl": 0.6})))
    store = Store(str(tmp_path / "store"))
    [reason] = explain_version(read_mix(store, "test", "v0002"), read_mix(store, "test", "v0001"), store)
    assert (reason.step, reason.cause) == ("propose", "PARAMS")
    assert [(one.field, one.old, one.new) for one in reason.differences] == [("kl", 0.05, 0.5)]
    first = explain_version(read_mix(store, "test", "v0001"), None, store)
    assert {reason.cause for reason in first} == {"FIRST"}
