"""Payloads of steps, and where the values of their fields come from, for `olmix why`.

A payload is a frozen dataclass: exactly what the result of a step depends on. A field whose value is not a setting says
so in its metadata, with `cause` or `result_of`; all other fields are settings (PARAMS).
"""

import types
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from olmix_core.errors import DamageError
from olmix_core.serialization import JsonMapping, JsonRecord, json_key
from olmix_core.storage.layout import payload_path
from olmix_core.storage.store import Store

CODE = "CODE"  # a code_version was raised
DATA = "DATA"  # content of a leaf
PARAMS = "PARAMS"  # a setting
EVAL = "EVAL"  # evaluation tasks
CAUSES = (CODE, DATA, PARAMS, EVAL)

Metadata = dict[str, str | dict[str, str]]  # of a field


def cause(name: str, **of_parts: str) -> Metadata:
    """Return metadata of a field whose change is a cause of its own.

    Args:
        name: One of CAUSES.
        **of_parts: Causes or steps of the fields of a nested dataclass, where they are others.

    Returns:
        Metadata for `dataclasses.field`.
    """
    return {"source": name, **parts(**of_parts)}


def result_of(step: str) -> Metadata:
    """Return metadata of a field whose value comes from the result of an earlier step.

    Args:
        step: Name of the step.

    Returns:
        Metadata for `dataclasses.field`.
    """
    return {"source": step}


def parts(**of_parts: str) -> Metadata:
    """Return metadata of a field that holds a dataclass of olmix_core.

    Args:
        **of_parts: Causes or steps that its fields come from.

    Returns:
        Metadata for `dataclasses.field`.
    """
    return {"sources": of_parts}


def field_sources(payload: type[Any], prefix: str = "") -> dict[str, str]:
    """Collect what the fields of a payload declare.

    Args:
        payload: A dataclass.
        prefix: Path of the dataclass within the payload.

    Returns:
        {dotted path: cause or name of a step}, without the fields that are settings.
    """
    sources: dict[str, str] = {}
    hints = get_type_hints(payload)
    for field in fields(payload):
        path = f"{prefix}{json_key(field)}"
        inner = prefix if field.metadata.get("inline") else f"{path}."
        if "source" in field.metadata:
            sources[path] = field.metadata["source"]
        if (nested := _nested(hints[field.name])) is not None:
            sources |= field_sources(nested, inner)
        sources |= {f"{inner}{name}": source for name, source in field.metadata.get("sources", {}).items()}
    return sources


def source_of(sources: Mapping[str, str], path: str) -> str:
    """Look up the source of a field.

    Args:
        sources: As `field_sources` returns them.
        path: Dotted path of the field.

    Returns:
        The source of the path or of the nearest field that it is part of; PARAMS where none is declared.
    """
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        if (prefix := ".".join(parts[:length])) in sources:
            return sources[prefix]
    return PARAMS


@dataclass(frozen=True)
class Subject:
    """What a result is of. `olmix why` compares results of the same subject.

    Attributes:
        field: The field of the payload that names the subject.
        is_leaf: Whether it is a leaf. The result of each leaf is explained by itself, and compared with that of the
            leaf that had its label before.
    """

    field: str
    is_leaf: bool = False


@dataclass(frozen=True)
class StoredPayload(JsonRecord):
    """A payload as the store keeps it: with the step and the code_version that it is of."""

    step: str
    code_version: int
    payload: JsonMapping


def read_payload(store: Store, step: str, key: str) -> StoredPayload | None:
    """Read the payload of a result.

    Args:
        store: The store.
        step: Name of the step.
        key: Key of the result.

    Returns:
        The payload; None where there is none.

    Raises:
        DamageError: It cannot be used.
        StoreError: The store does not answer.
    """
    path = payload_path(step, key)
    try:
        return StoredPayload.from_json(store.read_json(path))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DamageError(store.place(path), str(error)) from error


def _nested(annotation: Any) -> type[Any] | None:
    """The dataclass that a field holds, if it holds one."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next((nested for item in get_args(annotation) if (nested := _nested(item)) is not None), None)
    return annotation if isinstance(annotation, type) and is_dataclass(annotation) else None
