"""Payloads and results that the last release stored are read, and have the keys that they had.

Steps that give other results since have a raised code_version: what is stored of them is read, and executed again.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from olmix_core.identity import step_key
from olmix_core.storage.store import Store
from tasks.runtime.step import Step
from tasks.steps import STEPS
from tests.support.releases import unpack

NEW = {"overlap", "transfer"}  # steps that the release did not have
CACHED = [stage for stage in STEPS if isinstance(stage, Step) and stage.name not in NEW]
RAISED = {"plan", "fit"}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("release")
    unpack("0.1.0", folder)
    return Store(str(folder / "store"))


def payloads(store: Store, step: Step[Any, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(key, stored payload) of every result of a step."""
    for path in sorted((Path(store.url) / "cache" / step.name).glob("*.payload.json")):
        yield path.name.removesuffix(".payload.json"), json.loads(path.read_text())


@pytest.mark.parametrize("step", CACHED, ids=lambda step: step.name)
def test_a_stored_payload_has_the_key_that_it_had(step: Step[Any, Any], stored: Store) -> None:
    records = dict(payloads(stored, step))
    assert records
    for key, record in records.items():
        version = record["code_version"]
        assert version < step.code_version if step.name in RAISED else version == step.code_version
        payload = step.payload.from_json(record["payload"])
        assert payload.to_json() == record["payload"]
        assert step_key(step.name, version, payload.to_json()) == key


@pytest.mark.parametrize("step", CACHED, ids=lambda step: step.name)
def test_a_stored_result_is_read_and_written_the_same(step: Step[Any, Any], stored: Store) -> None:
    for key, _ in payloads(stored, step):
        result = json.loads(json.loads((Path(stored.url) / "cache" / step.name / f"{key}.json").read_text())["result"])
        read = step.known(stored, key)
        assert read is not None
        assert json.dumps(read.to_json()) == json.dumps(result)
