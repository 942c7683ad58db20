"""Versions of mixes in a store."""

from pathlib import Path

import pytest

from olmix_core.errors import StoreError
from olmix_core.mixes.versions import next_version, only_mix, read_latest, read_mix
from olmix_core.storage.store import Store
from tests.support.records import record_json


def test_the_latest_version_is_read(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert read_latest(store, "test") is None
    with pytest.raises(StoreError, match="found no mix called 'test'; expected one of: none"):
        read_mix(store, "test")
    store.write_json("mixes/test/v0001/mix.json", record_json())
    store.write_json("mixes/test/latest.json", {"version": "v0001"})
    record = read_mix(store, "test")
    assert record == read_latest(store, "test")
    assert record.labels == {"fa": "a", "fb": "b"}
    assert [leaf.label for leaf in record.old_leaves] == ["a", "b"]
    with pytest.raises(StoreError, match="has no version 'v0002'; expected one of: v0001"):
        read_mix(store, "test", "v0002")


def test_the_next_version_has_the_next_number(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert next_version(store, "test") == "v0001"
    store.write_json("mixes/test/latest.json", {"version": "v0041"})
    assert next_version(store, "test") == "v0042"
    store.write_json("mixes/test/latest.json", {"version": "latest"})
    with pytest.raises(StoreError, match="found the mix version 'latest'; expected v and a number"):
        next_version(store, "test")


def test_the_only_mix_of_a_store_needs_no_name(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for names, found in (((), "none"), (("a", "b"), "a, b")):
        for name in names:
            store.write_json(f"mixes/{name}/latest.json", {"version": "v0001"})
        with pytest.raises(StoreError, match=f"found the mixes: {found}; expected one, or the name of one of them"):
            only_mix(store)
