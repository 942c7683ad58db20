"""A step whose result Prefect did not find asks again, so that a store that is away costs no second execution."""

from pathlib import Path
from typing import Any

import pytest

from olmix_core.errors import StoreError
from olmix_core.store import Store
from tasks.results import known_result, result_path
from tasks.step import result_key, step

executed: list[dict[str, Any]] = []


@step("tried", code_version=1)
def tried(payload: dict[str, Any], store: str) -> dict[str, Any]:
    executed.append(payload)
    return {"made": len(executed)}


def kept(store: Store, key: str, result: str) -> None:
    """A result file as Prefect writes it."""
    record = {"metadata": {"serializer": {"type": "json"}}, "result": result}
    store.write_json(result_path(key), record)


def test_a_store_that_does_not_answer_is_not_one_without_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    before = len(executed)
    with pytest.raises(StoreError, match="does not answer"):
        tried.task.fn({"a": 1}, "s3://bucket/store")
    assert len(executed) == before


def test_a_result_that_is_there_after_all_is_taken(tmp_path: Path) -> None:
    store, before = Store(str(tmp_path)), len(executed)
    kept(store, result_key("tried", tried.key({"a": 2})), '{"made": 7}')
    assert tried.task.fn({"a": 2}, str(tmp_path)) == {"made": 7}
    assert len(executed) == before


@pytest.mark.parametrize("content", [b"", b"{", b'{"metadata": {"serializer": {"type": "pickle"}}, "result": ""}'])
def test_a_result_that_is_damaged_or_no_plain_json_counts_as_missing(content: bytes, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write_bytes(result_path("tried/a"), content)
    assert known_result(store, "tried/a") is None
    assert known_result(store, "tried/b") is None
