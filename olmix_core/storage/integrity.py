"""Seals: checksums that show whether a file of the store is still what was written.

    JSON           the last field, `sha256`, is the digest of all other fields
    safetensors    `sha256` in the header is the digest of names, types, shapes and values of all tensors
    token ids      a CRC-32 of every megabyte, kept in a sealed file beside them and checked when it is read
    other files    their SHA-256 is in a sealed file that belongs to them

Damage is met in three ways. A result whose seal or small files are wrong counts as missing when it is looked up, and
its step runs again (`storage.results`). Large files (tokens, models) are looked up by name only: damage is found where
they are used (`workers.process`), which moves the file to `damaged/` and ends the run with an error; the next run makes
it again. Files that are never made again, the ledger and published records, stop a run (`evidence.ledger_files`,
`mixes.record`). `olmix store check` reads everything (`mixes.audit`).

A seal detects damage: a flipped bit, a truncated file, an edit by hand. It does not protect against anybody who may
write to the store, and need not: nothing that is read from the store is ever executed.
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
from olmix_core.serialization import JsonMapping, JsonObject

FIELD = "sha256"
CHUNK = 1 << 20  # bytes of token ids under one CRC

Arrays = dict[str, NDArray[Any]]


def checksum(content: bytes) -> str:
    """Compute the SHA-256 of a content.

    Args:
        content: The bytes.

    Returns:
        The digest in hexadecimal.
    """
    return hashlib.sha256(content).hexdigest()


def seal(value: JsonMapping) -> bytes:
    """Write a JSON document with its seal.

    Args:
        value: The fields of the document.

    Returns:
        The text of the document, UTF-8.

    Raises:
        ValueError: The document holds NaN or infinity, which JSON has no word for.
    """
    return _text({**value, FIELD: checksum(_text(value))})


def unseal(content: bytes, where: str) -> JsonObject:
    """Read a JSON document and check its seal.

    Args:
        content: What `seal` wrote.
        where: The file, for messages.

    Returns:
        The fields of the document without the seal.

    Raises:
        DamageError: The document is not what was written.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DamageError(where, f"no JSON ({error})") from error
    if not isinstance(value, dict) or FIELD not in value:
        raise DamageError(where, "no seal")
    expected = value.pop(FIELD)
    try:
        actual = checksum(_text(value))
    except ValueError:  # NaN, which Python reads although it is no JSON
        actual = ""
    if actual != expected:
        raise DamageError(where, "another content than was written")
    return value


def verify(content: bytes, expected: str, where: str) -> bytes:
    """Check a content whose SHA-256 is on record elsewhere.

    Args:
        content: The bytes.
        expected: Their SHA-256.
        where: The file, for messages.

    Returns:
        `content`.

    Raises:
        DamageError: The content is not what was written.
    """
    if checksum(content) != expected:
        raise DamageError(where, "another content than was written")
    return content


def save_tensors(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write arrays as safetensors with their seal.

    Args:
        arrays: {name: contiguous array}.
        path: The file.

    Raises:
        OSError: The file cannot be written.
    """
    try:
        save_file(dict(arrays), path, metadata={FIELD: _digest(arrays)})
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def load_tensors(path: Path, where: str) -> Arrays:
    """Read arrays and check their seal.

    Args:
        path: What `save_tensors` wrote.
        where: The file, for messages.

    Returns:
        {name: array}.

    Raises:
        DamageError: The arrays are not what was written.
        OSError: The file cannot be read.
    """
    try:
        with safe_open(path, "np") as file:
            expected = (file.metadata() or {}).get(FIELD)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise DamageError(where, f"no safetensors ({error})") from error
    if expected != _digest(arrays):
        raise DamageError(where, "another content than was written")
    return arrays


def chunk_crcs(path: Path) -> NDArray[np.uint32]:
    """Compute the checksums of a file of token ids.

    Args:
        path: The file.

    Returns:
        CRC-32 of every `CHUNK` bytes, shape [chunks].
    """
    with path.open("rb") as file:
        return np.array([zlib.crc32(chunk) for chunk in iter(lambda: file.read(CHUNK), b"")], np.uint32)


class CheckedTokens:
    """Token ids in a memory map; every chunk is checked when it is first read."""

    def __init__(self, tokens: NDArray[Any], expected: NDArray[np.uint32], where: str) -> None:
        """Wrap a memory map.

        Args:
            tokens: Token ids, shape [n].
            expected: CRC-32 of every `CHUNK` bytes, shape [chunks].
            where: The file, for messages.

        Raises:
            DamageError: The length does not fit the checksums.
        """
        if -(-tokens.nbytes // CHUNK) != expected.size:
            raise DamageError(where, f"{tokens.nbytes:,} bytes, where {expected.size} times {CHUNK:,} are on record")
        self._tokens, self._expected, self._where = tokens, expected, where
        self._bytes = tokens.view(np.uint8)
        self._good = np.zeros(expected.size, bool)
        self.size = tokens.size

    def __getitem__(self, part: slice) -> NDArray[Any]:
        """Read tokens [start:end]. Raises DamageError."""
        width, (start, stop, _) = self._tokens.itemsize, part.indices(self.size)
        for chunk in range(start * width // CHUNK, -(-stop * width // CHUNK)):
            if not self._good[chunk]:
                self._check(chunk)
        return self._tokens[part]

    def check_all(self) -> None:
        """Check everything.

        Raises:
            DamageError: A chunk is not what was written.
        """
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
