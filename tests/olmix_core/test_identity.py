import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.identity import canonical, content_fingerprint, digest, fields, step_key

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON))
def test_key_does_not_depend_on_the_order_of_fields(payload: dict[str, object]) -> None:
    assert digest(payload) == digest(dict(reversed(payload.items())))


@given(JSON, JSON)
def test_values_with_equal_canonical_text_are_equal(a: object, b: object) -> None:
    if canonical(a) == canonical(b):
        assert a == b


def test_canonical_text_is_sorted_and_compact() -> None:
    assert canonical({"b": [1, 0.5, 1e-7, None, True, "ä"], "a": {}}) == (
        b'{"a":{},"b":[1,0.5,1e-07,null,true,"\xc3\xa4"]}'
    )
    with pytest.raises(TypeError, match=r"payload\.a: a set has no canonical form"):
        canonical({"a": {1}})
    with pytest.raises(TypeError, match=r"payload\.a: key 1 is a int, not a str"):
        canonical({"a": {1: 2}})


@pytest.mark.parametrize("value", [np.float64(0.5), np.int64(1), float("nan"), {1: 2}, {1, 2}, Path("x"), b"x"])
def test_value_without_canonical_form_raises_with_its_path(value: object) -> None:
    with pytest.raises(TypeError, match=r"payload\.outer\[0\]"):
        canonical({"outer": [value]})


def test_key_depends_on_step_and_version() -> None:
    keys = {step_key(step, version, {"a": 1}) for step in ("train", "evaluate") for version in (1, 2)}
    assert len(keys) == 4


def test_key_is_stable_across_releases() -> None:
    """Another one would make every store of earlier versions worthless."""
    text = b'{"code_version":2,"payload":{"a":[1,0.5,null]},"step":"train"}'
    assert step_key("train", 2, {"a": (1, 0.5, None)}) == hashlib.sha256(text).hexdigest()


def test_fields_flattens_to_dotted_paths() -> None:
    payload = {"proxy": {"layers": 2, "schedule": {"warmup": 0.1}}, "domains": ["a", {"b": 1}], "none": {}, "seed": 0}
    assert fields(payload) == {
        "proxy.layers": 2,
        "proxy.schedule.warmup": 0.1,
        "domains": ["a", {"b": 1}],
        "none": {},
        "seed": 0,
    }


def test_content_fingerprint_ignores_the_order_of_files() -> None:
    files = [("aa", 1, "text"), ("bb", 2, "text")]
    assert content_fingerprint(files) == content_fingerprint(reversed(files))
    assert content_fingerprint(files) != content_fingerprint([("aa", 1, "text"), ("bb", 2, ".jsonl text")])
