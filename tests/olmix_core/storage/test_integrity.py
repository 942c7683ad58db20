"""A seal finds every change of a file that changes what it says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.errors import DamageError
from olmix_core.storage.integrity import CHUNK, CheckedTokens, chunk_crcs, load_tensors, save_tensors, seal, unseal

DOCUMENT = {"name": "mixé", "weights": {"a": 0.1, "b": 0.9}, "runs": [1, 2.5, None, True]}
SEALED = seal(DOCUMENT)


def flipped(content: bytes, byte: int, bit: int) -> bytes:
    changed = bytearray(content)
    changed[byte] ^= 1 << bit
    return bytes(changed)


def test_sealed_document_round_trips() -> None:
    assert unseal(SEALED, "a.json") == DOCUMENT


@given(st.integers(0, len(SEALED) - 1), st.integers(0, 7))
def test_flipped_bit_in_a_document_is_detected(byte: int, bit: int) -> None:
    try:
        found = unseal(flipped(SEALED, byte, bit), "a.json")
    except DamageError:
        return
    assert found == DOCUMENT  # a bit of the white space


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"a": 1}', '{"a": NaN, "sha256": "0"}', '{"sha256": 3}'])
def test_document_without_a_seal_is_refused(text: str) -> None:
    with pytest.raises(DamageError, match=r"a\.json: found "):
        unseal(text.encode(), "a.json")


def test_truncated_document_is_detected() -> None:
    for length in range(len(SEALED) - 1):
        with pytest.raises(DamageError):
            unseal(SEALED[:length], "a.json")


ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "ends": np.arange(9),
    "step": np.array(3.5, np.float32),
    "none": np.zeros((0, 4)),
    "w": np.ones((2, 3)),
}


@pytest.fixture(scope="module")
def tensors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("seal") / "a.safetensors"
    save_tensors(ARRAYS, path)
    return path


def same(found: dict[str, np.ndarray]) -> bool:
    return found.keys() == ARRAYS.keys() and all(
        found[name].dtype == array.dtype and found[name].shape == array.shape and (found[name] == array).all()
        for name, array in ARRAYS.items()
    )


def test_sealed_arrays_round_trip(tensors: Path) -> None:
    assert same(load_tensors(tensors, "a"))


def test_flipped_bit_in_an_array_is_detected(tensors: Path, tmp_path: Path) -> None:
    content, other = tensors.read_bytes(), tmp_path / "b.safetensors"
    for byte in range(len(content)):
        other.write_bytes(flipped(content, byte, byte % 8))
        try:
            found = load_tensors(other, "b")
        except DamageError:
            continue
        assert same(found)


def test_tokens_are_checked_chunk_by_chunk_when_read(tmp_path: Path) -> None:
    tokens = np.arange(CHUNK, dtype="<u2").astype("<u2")  # two chunks and a bit
    tokens = np.concatenate([tokens, tokens[:7]])
    path = tmp_path / "tokens.bin"
    tokens.tofile(path)
    expected = chunk_crcs(path)
    assert expected.size == 3
    whole = CheckedTokens(np.memmap(path, "<u2", "r"), expected, "t")
    assert (whole[CHUNK // 2 - 3 : CHUNK // 2 + 3] == tokens[CHUNK // 2 - 3 : CHUNK // 2 + 3]).all()
    whole.check_all()

    path.write_bytes(flipped(tokens.tobytes(), CHUNK + 5, 0))
    damaged = CheckedTokens(np.memmap(path, "<u2", "r"), expected, "t")
    assert (damaged[:9] == tokens[:9]).all()  # of another chunk
    with pytest.raises(DamageError, match="at byte 1,048,576 or after"):
        damaged[CHUNK // 2 - 1 : CHUNK // 2 + 1]
    with pytest.raises(DamageError):
        damaged.check_all()
    path.write_bytes(tokens.tobytes()[:-CHUNK])
    with pytest.raises(DamageError, match="bytes, where 3 times"):
        CheckedTokens(np.memmap(path, "<u2", "r"), expected, "t")
