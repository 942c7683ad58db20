"""`import olmix_core as olmix`: the names that docs/notebook.md describes, and no others."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

import olmix_core as olmix

PAGE = Path(__file__).parents[2] / "docs/notebook.md"


def test_public_names_are_those_of_the_page() -> None:
    described = set(re.findall(r"\bolmix\.(\w+)", PAGE.read_text(encoding="utf-8")))
    assert set(olmix.__all__) == described
    assert dir(olmix) == sorted(olmix.__all__)
    assert all(getattr(olmix, name).__name__ == name for name in olmix.__all__)


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="module 'olmix_core' has no attribute 'unknown'"):
        olmix.unknown  # noqa: B018


def test_attributes_of_a_mix_are_those_of_the_page() -> None:
    described = set(re.findall(r"^\| `(\w+)[`(]", PAGE.read_text(encoding="utf-8"), re.M))
    public = {name for name in (*vars(olmix.PublishedMix), *olmix.PublishedMix.__annotations__) if name[0] != "_"}
    assert described <= public


def test_annotations_are_for_users_too() -> None:
    assert (files("olmix_core") / "py.typed").is_file()
