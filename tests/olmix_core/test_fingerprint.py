import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.fingerprint import ContentIndex, canonical, content_fingerprint, digest, step_key

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


@pytest.mark.parametrize("value", [np.float64(0.5), np.int64(1), float("nan"), {1: 2}, {1, 2}, Path("x"), b"x"])
def test_what_has_no_canonical_form_raises_and_says_where(value: object) -> None:
    with pytest.raises(TypeError, match=r"payload\.outer\[0\]"):
        canonical({"outer": [value]})


def test_step_and_version_are_part_of_the_key() -> None:
    keys = {step_key(step, version, {"a": 1}) for step in ("train", "evaluate") for version in (1, 2)}
    assert len(keys) == 4


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
    monkeypatch.setattr("olmix_core.fingerprint._md5", lambda opened: pytest.fail("read again"))
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
