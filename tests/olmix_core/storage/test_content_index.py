import hashlib
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.identity import canonical, content_fingerprint, digest, fields, step_key
from olmix_core.storage.content_index import ContentIndex
from olmix_core.storage.filesystem import filesystem
from olmix_core.storage.listing import ListedFile
from olmix_core.storage.local_cache import cache_dir

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON))
def test_the_order_of_fields_is_no_part_of_a_key(payload: dict[str, object]) -> None:
    assert digest(payload) == digest(dict(reversed(payload.items())))


@given(JSON, JSON)
def test_equal_text_means_equal_value(a: object, b: object) -> None:
    if canonical(a) == canonical(b):
        assert a == b


def test_the_text_of_a_value_is_the_shortest_there_is() -> None:
    assert canonical({"b": [1, 0.5, 1e-7, None, True, "ä"], "a": {}}) == (
        b'{"a":{},"b":[1,0.5,1e-07,null,true,"\xc3\xa4"]}'
    )
    with pytest.raises(TypeError, match=r"payload\.a: a set has no canonical form"):
        canonical({"a": {1}})
    with pytest.raises(TypeError, match=r"payload\.a: key 1 is a int, not a str"):
        canonical({"a": {1: 2}})


@pytest.mark.parametrize("value", [np.float64(0.5), np.int64(1), float("nan"), {1: 2}, {1, 2}, Path("x"), b"x"])
def test_what_has_no_canonical_form_raises_and_says_where(value: object) -> None:
    with pytest.raises(TypeError, match=r"payload\.outer\[0\]"):
        canonical({"outer": [value]})


def test_step_and_version_are_part_of_the_key() -> None:
    keys = {step_key(step, version, {"a": 1}) for step in ("train", "evaluate") for version in (1, 2)}
    assert len(keys) == 4


def test_a_key_stays_what_it_is() -> None:
    """Another one would make every store of earlier versions worthless."""
    text = b'{"code_version":2,"payload":{"a":[1,0.5,null]},"step":"train"}'
    assert step_key("train", 2, {"a": (1, 0.5, None)}) == hashlib.sha256(text).hexdigest()


def test_fields_are_named_by_their_path() -> None:
    payload = {"proxy": {"layers": 2, "schedule": {"warmup": 0.1}}, "domains": ["a", {"b": 1}], "none": {}, "seed": 0}
    assert fields(payload) == {
        "proxy.layers": 2,
        "proxy.schedule.warmup": 0.1,
        "domains": ["a", {"b": 1}],
        "none": {},
        "seed": 0,
    }


def test_where_this_machine_remembers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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


def test_a_leaf_is_its_contents_in_any_order() -> None:
    files = [("aa", 1, "text"), ("bb", 2, "text")]
    assert content_fingerprint(files) == content_fingerprint(reversed(files))
    assert content_fingerprint(files) != content_fingerprint([("aa", 1, "text"), ("bb", 2, ".jsonl text")])


def test_a_file_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.txt"
    file.write_text("one")
    os.utime(file, (time.time() - 100, time.time() - 100))
    index = ContentIndex(tmp_path / "index")
    first = index.hash(str(file))
    index.close()
    monkeypatch.setattr("olmix_core.storage.content_index._md5", lambda opened: pytest.fail("read again"))
    again = ContentIndex(tmp_path / "index")
    assert again.hash(str(file)) == first
    again.close()


def test_a_file_that_just_changed_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    index = ContentIndex(tmp_path / "index")
    file.write_text("one")
    status = file.stat()
    first = index.hash(str(file))
    file.write_text("two")  # same size, and perhaps within the resolution of the clock
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert index.hash(str(file)) != first
    index.close()


def test_content_decides_not_path(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("same")
    (tmp_path / "b.txt").write_text("same")
    index = ContentIndex(tmp_path / "index")
    assert index.hash(str(tmp_path / "a.txt")) == index.hash(str(tmp_path / "b.txt"))
    index.close()


def test_a_large_file_is_hashed_as_object_stores_do(tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes(2_500_000)
    (tmp_path / "a.bin").write_bytes(content)
    index = ContentIndex(tmp_path / "index")
    assert index.hash(str(tmp_path / "a.bin")) == (hashlib.md5(content).hexdigest(), len(content))
    index.close()


def test_a_file_on_a_server_is_known_by_its_listing_and_read_where_that_says_nothing(tmp_path: Path) -> None:
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


def test_what_was_learnt_of_a_content_is_remembered(tmp_path: Path) -> None:
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
