"""Copies of remote files: fetched once, and removed where the disk is short."""

import os
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from olmix_core.storage import local_cache as copies
from olmix_core.storage.local_cache import local_copy, make_room


def test_local_copy_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLMIX_CACHE_DIR", str(tmp_path))
    fetched = []

    def fetch(path: Path) -> None:
        fetched.append(path)
        path.write_text("content")

    first = local_copy("s3://bucket/a", fetch)
    assert first.read_text() == "content"
    assert local_copy("s3://bucket/a", fetch) == first
    assert local_copy("s3://bucket/b", fetch) != first
    assert len(fetched) == 2


def test_failed_fetch_leaves_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLMIX_CACHE_DIR", str(tmp_path))

    def fetch(path: Path) -> None:
        path.write_text("half")
        raise ConnectionError

    with pytest.raises(ConnectionError):
        local_copy("s3://bucket/a", fetch)
    assert list((tmp_path / "copies").iterdir()) == []


def test_least_recently_used_copies_are_removed_and_recent_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Disk(NamedTuple):
        total: int
        used: int
        free: int

    def disk(folder: Path) -> Disk:
        used = sum(path.stat().st_size for path in tmp_path.iterdir())
        return Disk(1000, used, 1000 - used)

    for name, hours in (("oldest", 5), ("older", 4), ("old", 3), ("used", 0)):
        (tmp_path / name).write_bytes(bytes(300 if name != "used" else 90))
        then = time.time() - 3600 * hours
        os.utime(tmp_path / name, (then, then))
    monkeypatch.setattr(shutil, "disk_usage", disk)
    make_room(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"older", "old", "used"}
    monkeypatch.setattr(copies, "FREE", 0.99)
    make_room(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"used"}
