"""Identity: canonical JSON, digests, step keys, content fingerprints and seeded random generators.

A *key* is the SHA-256 of a step's name, its `code_version` and its *payload*: exactly what the result depends on,
written as canonical JSON. A type without a canonical form raises TypeError; nothing is stringified.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def canonical(value: Any) -> bytes:
    """The one JSON text of `value`: sorted keys, no white space, shortest floats.

    Raises:
        TypeError: `value` holds something other than None, bool, int, finite float, str, list, tuple or a mapping
            with string keys.
    """
    _check(value, "payload")
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8")


def _check(value: Any, where: str) -> None:
    # Exact types: a NumPy scalar prints as a number but differs between versions, a subclass may hide state.
    if value is None or type(value) in (bool, int, str):
        return
    if type(value) is float:
        if not math.isfinite(value):
            raise TypeError(f"{where}: {value} has no canonical form")
    elif type(value) in (list, tuple):
        for index, item in enumerate(value):
            _check(item, f"{where}[{index}]")
    elif type(value) is dict:
        for name, item in value.items():
            if type(name) is not str:
                raise TypeError(f"{where}: key {name!r} is a {type(name).__name__}, not a str")
            _check(item, f"{where}.{name}")
    else:
        raise TypeError(f"{where}: a {type(value).__name__} has no canonical form")


def digest(value: Any) -> str:
    """SHA-256, in hexadecimal, of the canonical JSON of `value`."""
    return hashlib.sha256(canonical(value)).hexdigest()


def fields(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{dotted path: value} of a payload or record, to compare two of them; a list counts as one value."""
    found: dict[str, Any] = {}
    for name, item in value.items():
        path = f"{prefix}{name}"
        if isinstance(item, dict) and item:
            found |= fields(item, f"{path}.")
        else:
            found[path] = item
    return found


def step_key(step: str, code_version: int, payload: Mapping[str, Any]) -> str:
    """The key of one result of `step`."""
    return digest({"step": step, "code_version": code_version, "payload": payload})


def content_fingerprint(files: Iterable[tuple[str, int, str]]) -> str:
    """The identity of a leaf: over the sorted (content hash, size in bytes, reader) of its files, paths left out.

    The reader belongs to it, since the same bytes read in another way are another text.
    """
    return digest(sorted([list(file) for file in files]))


def seed_of(*parts: str | int) -> np.random.Generator:
    """A generator that depends on `parts` alone."""
    text = "\x00".join(str(part) for part in parts)
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))
