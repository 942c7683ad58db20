"""Seals: how a file of the store shows that it is still what was written.

    JSON           its last field, `sha256`, is the digest of all the rest
    safetensors    `sha256` in its header is the digest of names, types, shapes and values of all tensors
    token ids      a CRC-32 of every megabyte, kept in a sealed file beside them and looked at when it is read
    other files    their SHA-256 is in a sealed file that belongs to them

A seal guards against damage: a flipped bit, a file cut short, half of an edit by hand. Against somebody who may write
to the store it is no protection, and needs to be none: nothing that is read from the store is ever executed.
"""

import hashlib
import json
import os
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from olmix_core.errors import DamageError

FIELD = "sha256"
CHUNK = 1 << 20  # bytes of token ids under one CRC

Arrays = dict[str, NDArray[Any]]


def checksum(content: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def seal(value: Mapping[str, Any]) -> bytes:
    """The text of a JSON document with its seal. Raises ValueError for NaN, which is no JSON."""
    return _text({**value, FIELD: checksum(_text(value))})


def unseal(content: bytes, where: str) -> dict[str, Any]:
    """The document that `seal` made a text of. Raises DamageError, which names `where`."""
    try:
        value = json.loads(content)
    except ValueError as error:
        raise DamageError(where, f"no JSON ({error})") from error
    if not isinstance(value, dict) or FIELD not in value:
        raise DamageError(where, "no seal")
    expected = value.pop(FIELD)
    try:
        found = checksum(_text(value))
    except ValueError:  # NaN, which JSON has no word for and Python reads
        found = ""
    if found != expected:
        raise DamageError(where, "another content than was written")
    return value


def check(content: bytes, expected: str, where: str) -> bytes:
    """`content`, whose SHA-256 is on record elsewhere. Raises DamageError."""
    if checksum(content) != expected:
        raise DamageError(where, "another content than was written")
    return content


def save_tensors(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write contiguous arrays as safetensors with their seal. Raises OSError."""
    try:
        save_file(dict(arrays), path, metadata={FIELD: _digest(arrays)})
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def load_tensors(path: Path, where: str) -> Arrays:
    """The arrays that `save_tensors` wrote. Raises DamageError, OSError."""
    try:
        with safe_open(path, "np") as file:
            expected = (file.metadata() or {}).get(FIELD)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise DamageError(where, f"no safetensors ({error})") from error
    if expected != _digest(arrays):
        raise DamageError(where, "another content than was written")
    return arrays


def checks(path: Path) -> NDArray[np.uint32]:
    """[n] CRC-32 of every CHUNK of the file."""
    with path.open("rb") as file:
        return np.array([zlib.crc32(chunk) for chunk in iter(lambda: file.read(CHUNK), b"")], np.uint32)


class CheckedTokens:
    """Token ids in a memory map, each CHUNK of which is checked when it is first read."""

    def __init__(self, tokens: NDArray[Any], expected: NDArray[np.uint32], where: str) -> None:
        """Raises DamageError where the length is not what the checks are for."""
        if -(-tokens.nbytes // CHUNK) != expected.size:
            raise DamageError(where, f"{tokens.nbytes:,} bytes, where {expected.size} times {CHUNK:,} are on record")
        self._tokens, self._expected, self._where = tokens, expected, where
        self._bytes = tokens.view(np.uint8)
        self._good = np.zeros(expected.size, bool)
        self.size = tokens.size

    def __getitem__(self, part: slice) -> NDArray[Any]:
        """The tokens [start:end]. Raises DamageError."""
        width, (start, stop, _) = self._tokens.itemsize, part.indices(self.size)
        for chunk in range(start * width // CHUNK, -(-stop * width // CHUNK)):
            if not self._good[chunk]:
                self._check(chunk)
        return self._tokens[part]

    def check_all(self) -> None:
        """Read everything. Raises DamageError."""
        for chunk in np.flatnonzero(~self._good).tolist():
            self._check(chunk)

    def _check(self, chunk: int) -> None:
        content = self._bytes[chunk * CHUNK : (chunk + 1) * CHUNK]
        if zlib.crc32(content.data) != int(self._expected[chunk]):
            raise DamageError(self._where, f"another content than was written, at byte {chunk * CHUNK:,} or after")
        self._good[chunk] = True


def _text(value: Any) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    hasher = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        hasher.update(json.dumps([name, str(array.dtype), list(array.shape)]).encode())
        hasher.update(array.reshape(-1).view(np.uint8).data)
    return hasher.hexdigest()
