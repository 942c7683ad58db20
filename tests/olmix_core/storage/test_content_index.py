import hashlib
import os
import time
from pathlib import Path

import numpy as np
import pytest

from olmix_core.storage.content_index import ContentIndex
from olmix_core.storage.filesystem import filesystem
from olmix_core.storage.listing import ListedFile
from olmix_core.storage.local_cache import cache_dir


def test_cache_dir_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("OLMIX_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_dir() == tmp_path / ".cache" / "olmix"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "olmix"
    monkeypatch.setenv("OLMIX_CACHE_DIR", str(tmp_path / "own" / "folder"))
    assert cache_dir() == tmp_path / "own" / "folder"
    index = ContentIndex()
    index.close()
    assert [file.name for file in cache_dir().iterdir()] == ["content-index.sqlite"]


def test_unchanged_file_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.txt"
    file.write_text("one")
    os.utime(file, (time.time() - 100, time.time() - 100))
    index = ContentIndex(tmp_path / "index")
    first = index.hash(str(file))
    index.close()
    monkeypatch.setattr(hashlib, "md5", lambda **_: pytest.fail("read again"))
    again = ContentIndex(tmp_path / "index")
    assert again.hash(str(file)) == first
    again.close()


def test_recently_changed_file_is_hashed_again(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    index = ContentIndex(tmp_path / "index")
    file.write_text("one")
    status = file.stat()
    first = index.hash(str(file))
    file.write_text("two")  # same size, and perhaps within the resolution of the clock
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert index.hash(str(file)) != first
    index.close()


def test_hash_depends_on_content_and_not_on_path(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("same")
    (tmp_path / "b.txt").write_text("same")
    index = ContentIndex(tmp_path / "index")
    assert index.hash(str(tmp_path / "a.txt")) == index.hash(str(tmp_path / "b.txt"))
    index.close()


def test_hash_of_a_large_file_is_its_md5(tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes(2_500_000)
    (tmp_path / "a.bin").write_bytes(content)
    index = ContentIndex(tmp_path / "index")
    assert index.hash(str(tmp_path / "a.bin")) == (hashlib.md5(content).hexdigest(), len(content))
    index.close()


def test_remote_file_is_hashed_by_its_listing_or_else_read(tmp_path: Path) -> None:
    url = f"memory://{tmp_path.name}/a.txt"
    fs, path = filesystem(url)
    fs.pipe_file(path, b"some text")
    md5 = hashlib.md5(b"some text").hexdigest()
    index = ContentIndex(tmp_path / "index")
    assert index.hash(url) == (md5, 9)
    assert index.hash(ListedFile(url, 9, None)) == (md5, 9)
    assert index.hash(ListedFile(url, 9, "its-etag")) == ("its-etag", 9)  # and nothing was read
    with pytest.raises(FileNotFoundError, match=r"^there is no such file$"):
        index.hash(f"memory://{tmp_path.name}/b.txt")
    index.close()


def test_learnt_facts_are_recalled_by_content(tmp_path: Path) -> None:
    index = ContentIndex(tmp_path / "index")
    assert index.recall("aa", "reader") is None
    index.learn([("aa", "reader", "text"), ("aa", "columns", "text,id"), ("bb", "reader", "tokens")])
    index.learn([("aa", "columns", "text")])
    index.close()
    again = ContentIndex(tmp_path / "index")
    assert [again.recall(*asked) for asked in (("aa", "reader"), ("aa", "columns"), ("bb", "reader"))] == [
        "text",
        "text",
        "tokens",
    ]
    assert again.recall("bb", "columns") is None
    again.close()
