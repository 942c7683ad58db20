"""mix.json: what is written is read back, and what cannot be read is named with what to do."""

import json
from pathlib import Path
from typing import Any

import pytest

from olmix_core.errors import StoreError
from olmix_core.mixes.record import FORMAT_VERSION, FitRecord, MixRecord, parse_record
from tests.support.records import record_json


def test_a_record_is_written_as_it_was_read() -> None:
    value = record_json(speed={"evaluate_seconds": 0.5})
    record = parse_record(value, "mix.json")
    assert isinstance(record, MixRecord)
    written = record.to_json()
    assert parse_record(written, "mix.json") == record
    assert written["keys"] == {}
    assert written["speed"] == {"evaluate_seconds": 0.5}
    assert "previous" not in written["tasks"][0]
    json.dumps(written, allow_nan=False)


def test_every_key_of_a_record_is_kept() -> None:
    value = record_json()
    written = parse_record(value, "mix.json").to_json()
    assert written.keys() == value.keys()


def test_a_record_without_a_format_version_is_of_the_first() -> None:
    value = record_json()
    del value["format_version"]
    assert parse_record(value, "mix.json").weights == {"a": 0.75, "b": 0.25}


def test_a_record_without_a_kind_is_known_by_its_version() -> None:
    value = record_json()
    del value["kind"]
    assert isinstance(parse_record(value, "mix.json"), MixRecord)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(StoreError, match=r"mix\.json: kind: found 'draft'; expected mix or fit"):
        parse_record(record_json(kind="draft"), "mix.json")


def test_keys_that_are_not_known_are_skipped_but_settings_are_kept() -> None:
    value = record_json(later="something")
    value["settings"]["proposal"]["later"] = [1, 2]
    record = parse_record(value, "mix.json")
    assert "later" not in record.to_json()
    assert record.settings.to_json()["proposal"]["later"] == [1, 2]


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, 0, "2", None, True])
def test_another_format_version_is_refused(version: Any) -> None:
    with pytest.raises(StoreError, match=rf"mix\.json: format_version: found {version!r}; expected a number from 1 to"):
        parse_record(record_json(format_version=version), "mix.json")


def test_a_record_older_than_the_ledger_is_refused() -> None:
    value = record_json()
    del value["pool"]
    with pytest.raises(StoreError, match=r"from before evidence was a ledger; .*name another store"):
        parse_record(value, "mix.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"proxies": {}}, r"proxies\.swarm: found no such field"),
        ({"target_tokens": "many"}, "target_tokens: found 'many'"),
    ],
)
def test_a_field_that_is_not_there_or_no_number_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(StoreError, match=rf"mix\.json: {message}; expected a record of format version 2"):
        parse_record(record_json(**change), "mix.json")


def test_the_record_of_a_fit_has_no_versions(fitted: Path) -> None:
    record = parse_record(json.loads((fitted / "mix.json").read_text()), "mix.json")
    assert isinstance(record, FitRecord)
    assert record.format_version == FORMAT_VERSION
    assert record.kind == "fit"
    assert record.settings.constraints.repetition_factor == 4.0
