"""Validation errors of pydantic as `ConfigError`: file, field, value found and value expected."""

import re
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from olmix_core.config.base import Section
from olmix_core.config.yaml import shown
from olmix_core.errors import ConfigError

# Fields of several types, with the depth below which pydantic names the type that it tried.
_UNIONS = ((2, ("surrogate", "ridge")), (2, ("proxy", "leaf_share")), (3, ("eval", "tasks")))


def first_problem(model: type[Section], path: Path, error: ValidationError) -> ConfigError:
    """Convert the first problem of a validation error.

    Args:
        model: What the file was validated as.
        path: The file.
        error: The validation error.

    Returns:
        The error to raise.
    """
    problem = error.errors()[0]
    parts = list(problem["loc"])
    if parts[:1] == ["tokenizer"] and len(_sections(model.model_fields["tokenizer"].annotation)) > 1:
        del parts[1:2]  # the kind, which pydantic names between the field and its parts
    for depth, union in _UNIONS:
        if tuple(parts[:2]) == union:
            del parts[depth:]
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")
    kind, message = problem["type"], problem["msg"]
    if kind == "value_error":
        # Validators of this project raise "found ...; expected ...".
        actual, _, expected = message.removeprefix("Value error, found ").partition("; expected ")
        return ConfigError(str(path), field or "(file)", actual, expected)
    if kind == "missing":
        return ConfigError(str(path), field, "nothing", "this field, which is required")
    if kind == "extra_forbidden":
        return ConfigError(str(path), field, "an unknown field", _known_fields(model, list(problem["loc"])))
    if kind == "union_tag_invalid":
        return ConfigError(str(path), f"{field}.kind", shown(problem["input"]["kind"]), problem["ctx"]["expected_tags"])
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return ConfigError(str(path), field, shown(problem["input"]), "a mapping of fields")
    expected = re.sub(r"^(Input|Value|String|List|Dictionary) should ", "", message)
    return ConfigError(str(path), field, shown(problem["input"]), expected.removeprefix("be "))


def _known_fields(model: type[Section], parts: list[str | int]) -> str:
    """The fields of the section of `model` that lacks the last of `parts`."""
    kinds = [model]
    for part in parts[:-1]:
        if part in model.model_fields:
            kinds = _sections(model.model_fields[str(part)].annotation)
            model = kinds[0]
        elif isinstance(part, str) and len(kinds) > 1:  # the kind of the section, as its field `kind` names it
            model = next(section for section in kinds if part in get_args(section.model_fields["kind"].annotation))
    return "one of " + ", ".join(model.model_fields)


def _sections(annotation: Any) -> list[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [section for argument in get_args(annotation) for section in _sections(argument)]
