"""Identity: canonical JSON, digests, keys of steps, fingerprints of content, and seeded random generators.

A *key* is the SHA-256 of the name of a step, its `code_version` and its *payload*: exactly what the result depends on,
written as canonical JSON. A type without a canonical form raises TypeError; nothing is converted by guessing.
"""

import hashlib
import json
import math
from collections.abc import Iterable

import numpy as np

from olmix_core.serialization import JsonMapping, JsonObject


def canonical(value: object) -> bytes:
    """Write a value as canonical JSON: sorted keys, no white space, shortest floats.

    Args:
        value: A value of None, bool, int, finite float, str, list, tuple and dict with names of type str.

    Returns:
        The one text of the value, UTF-8.

    Raises:
        TypeError: The value holds anything else, subclasses of these types included.
    """
    _check(value, "payload")
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8")


def _check(value: object, where: str) -> None:
    # Exact types: a NumPy scalar prints as a number but differs between versions, a subclass may hide state.
    if value is None or type(value) in (bool, int, str):
        return
    if type(value) is float:
        if not math.isfinite(value):
            raise TypeError(f"{where}: {value} has no canonical form")
    elif type(value) is list or type(value) is tuple:
        for index, item in enumerate(value):
            _check(item, f"{where}[{index}]")
    elif type(value) is dict:
        for name, item in value.items():
            if type(name) is not str:
                raise TypeError(f"{where}: key {name!r} is a {type(name).__name__}, not a str")
            _check(item, f"{where}.{name}")
    else:
        raise TypeError(f"{where}: a {type(value).__name__} has no canonical form")


def digest(value: object) -> str:
    """Digest a value.

    Args:
        value: As for `canonical`.

    Returns:
        SHA-256 of the canonical JSON of the value, in hexadecimal.

    Raises:
        TypeError: The value has no canonical form.
    """
    return hashlib.sha256(canonical(value)).hexdigest()


def fields(value: JsonMapping, prefix: str = "") -> JsonObject:
    """Flatten a payload or record, to compare two of them field by field.

    Args:
        value: The fields of the record; a list counts as one value.
        prefix: First characters of every path.

    Returns:
        {dotted path: value}.
    """
    flat: JsonObject = {}
    for name, item in value.items():
        path = f"{prefix}{name}"
        if isinstance(item, dict) and item:
            flat |= fields(item, f"{path}.")
        else:
            flat[path] = item
    return flat


def step_key(step: str, code_version: int, payload: JsonMapping) -> str:
    """Compute the key of a result.

    Args:
        step: Name of the step.
        code_version: Version of its code.
        payload: Everything else that the result depends on.

    Returns:
        The key, 64 hexadecimal digits.

    Raises:
        TypeError: The payload has no canonical form.
    """
    return digest({"step": step, "code_version": code_version, "payload": payload})


def content_fingerprint(files: Iterable[tuple[str, int, str]]) -> str:
    """Compute the identity of a leaf. Paths are not part of it, and the order of files does not matter.

    Args:
        files: (content hash, size in bytes, reader) of each file. The same bytes read in another way are another text.

    Returns:
        The fingerprint, 64 hexadecimal digits.
    """
    return digest(sorted([list(file) for file in files]))


def seed_of(*parts: str | int) -> np.random.Generator:
    """Make a random generator.

    Args:
        parts: Names and numbers that the generator depends on, and nothing else.

    Returns:
        The generator.
    """
    text = "\x00".join(str(part) for part in parts)
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))
