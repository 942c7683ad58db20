"""The executor of a dry run: what is stored is found, what is missing is predicted as its step says, or nothing is."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from flows.execution.dry_run import Counts, DryRun, Unpredictable
from olmix_core.serialization import JsonRecord
from olmix_core.storage.layout import result_key, result_path
from olmix_core.storage.store import Store
from tasks.runtime.artifacts import Where
from tasks.runtime.step import Call, Estimate, Step, step


@dataclass(frozen=True)
class Number(JsonRecord):
    value: int


@step("doubled", 1, title="double", payload=Number, result=Number, forecast="compute")
def doubled(payload: Number, _store: Store) -> Number:
    return Number(2 * payload.value)


def guess(payload: Number, _key: str, where: Where) -> Estimate[Number]:
    return Estimate(Number(payload.value + int(where["more"])))


@step("guessed", 1, title="guess", payload=Number, result=Number, forecast=guess)
def guessed(_payload: Number, _store: Store, *, more: int) -> Number:
    raise AssertionError(f"a dry run executes nothing, with {more} or without")


@step("secret", 1, title="know", payload=Number, result=Number)
def secret(_payload: Number, _store: Store) -> Number:
    raise AssertionError("a dry run executes nothing")


def keep(store: Store, step: Step[Number, Number], values: Sequence[int]) -> None:
    for value in values:
        record = {"metadata": {"serializer": {"type": "json"}}, "result": json.dumps({"value": -value})}
        store.write_json(result_path(result_key(step.name, step.key(Number(value)))), record)


def test_a_missing_result_is_computed_or_predicted_as_its_step_says(tmp_path: Path) -> None:
    run = DryRun(Store(str(tmp_path)))
    assert run.run(doubled, Number(3)) == Number(6)
    assert not run.estimated
    assert run.run(guessed, Number(3), more=4) == Number(7)
    assert run.estimated
    assert run.counts() == {"doubled": Counts(executed=1), "guessed": Counts(executed=1)}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_stored_result_is_taken_and_what_cannot_be_predicted_ends_the_run(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    keep(store, secret, [1, 2])
    run = DryRun(store)
    assert run.run_all(secret, [Call(Number(2), {}), Call(Number(1), {})]) == [Number(-2), Number(-1)]
    with pytest.raises(Unpredictable):
        run.run_all(secret, [Call(Number(1), {}), Call(Number(3), {"label": "third"})])
    assert run.counts() == {"secret": Counts(executed=1, cached=3)}
    last = run.entries[-1]
    assert (last.payload, last.label, last.cached) == (Number(3), "third", False)
