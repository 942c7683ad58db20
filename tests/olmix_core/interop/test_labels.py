"""Labels: white space around them, labels that nearly agree, and the keys of mappings."""

import pytest
from pydantic import TypeAdapter, ValidationError

from olmix_core.interop.labels import StripKeys, did_you_mean, look_alikes, stripped


@pytest.mark.parametrize("label", [" code", "code\t", "\u00a0code", "\ufeffcode ", "\u200b code\u200b"])
def test_white_space_and_invisible_characters_around_a_label(label: str) -> None:
    assert stripped(label) == "code"


def test_inner_white_space_stays() -> None:
    assert stripped(" web news ") == "web news"


def test_labels_that_differ_by_white_space_or_case() -> None:
    labels = ["code", "Code", "web news", "webnews", "math"]
    assert look_alikes(labels, labels) == [
        ("Code", "code"),
        ("code", "Code"),
        ("web news", "webnews"),
        ("webnews", "web news"),
    ]


def test_a_hint_names_the_label() -> None:
    assert did_you_mean("code", ["Code ", "math"]) == " (there is 'Code ', which differs by white space or case only)"
    assert did_you_mean("code", ["math"]) == ""


def test_keys_of_a_mapping() -> None:
    from typing import Annotated

    adapter = TypeAdapter[dict[str, int]](Annotated[dict[str, int], StripKeys])
    assert adapter.validate_python({" a": 1, "b ": 2}) == {"a": 1, "b": 2}
    with pytest.raises(ValidationError, match="found 'a' twice, apart from white space; expected each label once"):
        adapter.validate_python({"a": 1, "a ": 2})
