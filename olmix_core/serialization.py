"""Dataclasses as plain JSON and back, by the types of their fields.

Whatever is stored or sent to another process is a frozen dataclass derived from `JsonRecord`: payloads and results of
steps, jobs of workers. `to_json` writes every field under its name; `from_json` checks every value against the type of
its field and never converts numbers, so that a record read and written again is the same JSON.

The metadata of a field can say otherwise:

    OMIT_NONE      a field that is None is left out, and a field that is left out is None
    INLINE         the fields of a nested dataclass stand beside those of the outer one
    key("name")    the name in JSON, where it is not the name of the field
"""

import types
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import Field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, Self, TypeAlias, TypeVar, Union, cast, get_args, get_origin, get_type_hints

# As json.loads gives it: the one untyped form, at the edge of the store and of other processes.
JsonObject: TypeAlias = dict[str, Any]
JsonMapping: TypeAlias = Mapping[str, Any]
Scalar: TypeAlias = str | int | float | bool | None

T = TypeVar("T")

OMIT_NONE = {"omit_none": True}
INLINE = {"inline": True}

_SEQUENCES = (list, tuple, Sequence)
_MAPPINGS = (dict, Mapping)


def key(name: str) -> dict[str, str]:
    """Return metadata that names a field in JSON.

    Args:
        name: Name in JSON.

    Returns:
        Metadata for `dataclasses.field`.
    """
    return {"key": name}


class JsonRecord:
    """A dataclass that can be written as a JSON object and read back."""

    def to_json(self) -> JsonObject:
        """Return the record as plain JSON.

        Returns:
            Fields by name, in the order of their declaration.
        """
        return encode_fields(self)

    @classmethod
    def from_json(cls, record: JsonMapping) -> Self:
        """Read a record.

        Args:
            record: Fields by name, as `to_json` writes them; further names are ignored.

        Returns:
            The record.

        Raises:
            ValueError: A field is missing, or is not of its type.
        """
        return decode_fields(cls, record)


def json_key(field: Field[Any]) -> str:
    """Return the name of a field in JSON.

    Args:
        field: Field of a dataclass.

    Returns:
        Its name in JSON.
    """
    return str(field.metadata.get("key", field.name))


def encode_fields(record: Any) -> JsonObject:
    """Return the fields of a dataclass as plain JSON.

    Args:
        record: Instance of a dataclass.

    Returns:
        Fields by name.
    """
    encoded: JsonObject = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if field.metadata.get("inline"):
            encoded |= encode(value)
        elif value is not None or not field.metadata.get("omit_none"):
            encoded[json_key(field)] = encode(value)
    return encoded


def encode(value: Any) -> Any:
    """Return a value as plain JSON: dataclasses and mappings as dict, sequences as list, all else as it is.

    A dataclass with a method `to_json` of its own is written by it, and read by its `from_json`.

    Args:
        value: Value of a field.

    Returns:
        The same as plain JSON.
    """
    if isinstance(value, JsonRecord):
        return value.to_json()
    if is_dataclass(value):
        to_json = getattr(value, "to_json", None)
        return encode(to_json()) if to_json else encode_fields(value)
    if isinstance(value, Mapping):
        return {name: encode(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    return value


def decode_fields(cls: type[T], record: JsonMapping) -> T:
    """Read a dataclass from the plain JSON of its fields.

    Args:
        cls: The dataclass.
        record: Fields by name; further names are ignored.

    Returns:
        An instance of `cls`.

    Raises:
        ValueError: A field is missing, or is not of its type.
    """
    if not isinstance(record, Mapping):
        raise ValueError(f"{cls.__name__}: found a {type(record).__name__}; expected an object")
    values: dict[str, Any] = {}
    for field in fields(cast(Any, cls)):
        name, annotation = json_key(field), _hints(cast(Any, cls))[field.name]
        if field.metadata.get("inline"):
            values[field.name] = decode(annotation, record, cls.__name__)
        elif name in record:
            values[field.name] = decode(annotation, record[name], f"{cls.__name__}.{name}")
        elif field.metadata.get("omit_none"):
            values[field.name] = None
        else:
            raise ValueError(f"{cls.__name__}: found no field {name!r}; expected one")
    return cls(**values)


def decode(annotation: Any, value: Any, place: str) -> Any:
    """Read a value of a given type from plain JSON.

    Args:
        annotation: Type of the value: a scalar, a dataclass, a list, tuple or mapping, or a union of them.
        value: Plain JSON.
        place: Name of the value in messages.

    Returns:
        The value; numbers are left as they are.

    Raises:
        ValueError: The value is not of this type.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return value
    if origin in (Union, types.UnionType):
        return _decode_union(arguments, value, place)
    if origin is Literal:
        matches = value in arguments
    elif origin in _SEQUENCES:
        if isinstance(value, list | tuple):
            return _decode_sequence(origin, arguments, value, place)
        matches = False
    elif origin in _MAPPINGS:
        if isinstance(value, Mapping):
            return {name: decode(arguments[1], item, f"{place}.{name}") for name, item in value.items()}
        matches = False
    elif is_dataclass(annotation):
        if not isinstance(value, Mapping):
            raise ValueError(f"{place}: found a {type(value).__name__}; expected an object")
        from_json = getattr(annotation, "from_json", None)
        return from_json(value) if from_json else decode_fields(cast(type[Any], annotation), value)
    elif annotation is float:
        matches = isinstance(value, int | float) and not isinstance(value, bool)
    elif annotation is int:
        matches = isinstance(value, int) and not isinstance(value, bool)
    else:
        matches = isinstance(value, annotation)
    if not matches:
        expected = getattr(annotation, "__name__", str(annotation))
        raise ValueError(f"{place}: found {value!r:.60}; expected {expected}")
    return value


def _decode_union(alternatives: tuple[Any, ...], value: Any, place: str) -> Any:
    error: ValueError | None = None
    for alternative in alternatives:
        if alternative is types.NoneType:
            if value is None:
                return None
            continue
        try:
            return decode(alternative, value, place)
        except ValueError as caught:
            error = error or caught
    raise error or ValueError(f"{place}: found {value!r:.60}; expected null")


def _decode_sequence(origin: Any, arguments: tuple[Any, ...], value: Sequence[Any], place: str) -> Any:
    if origin is tuple and arguments[-1] is not Ellipsis:
        if len(value) != len(arguments):
            raise ValueError(f"{place}: found {len(value)} values; expected {len(arguments)}")
        return tuple(decode(item_type, item, place) for item_type, item in zip(arguments, value, strict=True))
    items = [decode(arguments[0], item, f"{place}[{index}]") for index, item in enumerate(value)]
    return items if origin is list else tuple(items)


@cache
def _hints(cls: Hashable) -> dict[str, Any]:
    return get_type_hints(cast(type, cls))
