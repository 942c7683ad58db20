"""Records as JSON: what is written can be read, numbers stay as they are, and what is wrong is named."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from olmix_core.serialization import INLINE, OMIT_NONE, JsonRecord, key


@dataclass(frozen=True)
class Plain:
    """Not a record, but a dataclass."""

    size: int


@dataclass(frozen=True)
class Options(JsonRecord):
    strength: float
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Outer(JsonRecord):
    name: str
    options: Options = field(metadata=INLINE)
    shares: Mapping[str, float]
    ranges: dict[str, tuple[float, float]]
    parts: tuple[Plain, ...] = ()
    limit: int | None = None
    attempt: int | None = field(default=None, metadata=OMIT_NONE)
    target: float | Literal["auto"] = field(default="auto", metadata=key("goal"))


RECORD: dict[str, Any] = {
    "name": "x",
    "strength": 1,
    "kind": "b",
    "shares": {"a": 1.0, "b": 0},
    "ranges": {"a": [0, 0.5]},
    "parts": [{"size": 3}],
    "limit": None,
    "goal": 2.0,
}


def test_a_record_that_is_read_is_written_the_same() -> None:
    outer = Outer.from_json(RECORD)
    assert outer.options == Options(1, "b")
    assert outer.parts == (Plain(3),)
    assert outer.ranges == {"a": (0, 0.5)}
    written = outer.to_json()
    assert list(written) == list(RECORD)
    assert written == RECORD
    assert type(written["shares"]["b"]) is int
    assert type(written["strength"]) is int


def test_a_field_that_is_none_can_be_left_out() -> None:
    assert "attempt" not in Outer.from_json(RECORD).to_json()
    assert Outer.from_json({**RECORD, "attempt": 1}).to_json()["attempt"] == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": 3}, r"Outer\.name: found 3; expected str"),
        ({"strength": True}, r"Options\.strength: found True; expected float"),
        ({"kind": "c"}, r"Options\.kind"),
        ({"shares": {"a": "b"}}, r"Outer\.shares\.a: found 'b'"),
        ({"shares": []}, r"Outer\.shares: found \[\]"),
        ({"ranges": {"a": [1]}}, "found 1 values; expected 2"),
        ({"parts": [4]}, r"Outer\.parts\[0\]: found a int; expected an object"),
        ({"limit": 0.5}, r"Outer\.limit: found 0\.5"),
    ],
)
def test_a_value_of_another_type_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Outer.from_json({**RECORD, **change})


def test_a_field_that_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="found no field 'name'"):
        Outer.from_json({name: value for name, value in RECORD.items() if name != "name"})
