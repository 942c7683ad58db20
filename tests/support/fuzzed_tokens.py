"""Files of tokens as people have them: types, headers, indexes, masks, ids out of range, ends cut off."""

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from olmix_core.data.formats.megatron import DTYPES as CODES
from olmix_core.data.formats.raw_tokens import DTYPES as RAW
from olmix_core.data.formats.raw_tokens import smallest_dtype

VOCABULARIES = (300, 50_257, 65_437, 65_536, 65_537, 152_064)
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class DrawnTokens:
    """Files of tokens.

    Attributes:
        name: Name of the file.
        content: Its bytes.
        index: Bytes of the index beside it, if there is one.
        dtype: The type that the configuration states.
        documents: The documents that were written.
        eos: The token that ends a document.
        vocab_size: Entries of the vocabulary.
        is_sound: Whether the file must be read. Others are refused, or read as `documents`.
    """

    name: str
    content: bytes
    index: bytes | None
    dtype: str | None
    documents: list[list[int]]
    eos: int
    vocab_size: int
    is_sound: bool

    def write(self, folder: Path) -> Path:
        """Write the files.

        Args:
            folder: The folder.

        Returns:
            Path of the tokens.
        """
        path = folder / self.name
        path.write_bytes(self.content)
        if self.index is not None:
            path.with_suffix(".idx").write_bytes(self.index)
        return path


@st.composite
def token_files(draw: st.DrawFn) -> DrawnTokens:
    """Draw the files of some documents; something is wrong with one of two."""
    vocab_size = draw(st.sampled_from(VOCABULARIES))
    eos = draw(st.sampled_from([0, vocab_size - 1, vocab_size // 2]))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    sizes = [64, *draw(st.lists(st.sampled_from([0, 1, 2, 30, 500]), max_size=6))]  # enough to tell the type by
    documents = [rng.integers(0, vocab_size, size) for size in sizes]
    documents = [np.where(document == eos, (eos + 1) % vocab_size, document) for document in documents]
    kind, wrong = (
        draw(st.sampled_from(["raw", "numpy", "megatron"])),
        draw(st.sampled_from([None, "ids", "form", "cut"])),
    )
    if wrong == "ids":
        documents[0][draw(st.integers(0, 63))] = draw(st.sampled_from([-1, -100, vocab_size, vocab_size + 1000]))
    name, index, stated, is_wrong = "a.npy", None, None, wrong is not None
    joined = np.concatenate([np.append(document, eos) for document in documents])
    if kind == "raw":
        name = draw(st.sampled_from(["a.npy", "a.bin"]))
        dtype = draw(st.sampled_from(_fitting(joined, RAW)))
        stated = draw(st.sampled_from([None, dtype, *(RAW if wrong == "form" else ())]))
        is_wrong = wrong in ("ids", "cut") or (stated or smallest_dtype(vocab_size).name) != dtype
        content = joined.astype(dtype).tobytes()
    elif kind == "numpy":
        array: NDArray[Any] = joined.astype(draw(st.sampled_from(_fitting(joined, [*RAW, ">u4", ">i8", "<u8"]))))
        if wrong == "form":
            array = draw(st.sampled_from([array.astype("f4"), array[: array.size // 2 * 2].reshape(2, -1)]))
        content = _numpy(array, draw(st.sampled_from([(1, 0), (2, 0), (3, 0)])))
    else:
        name, code = "a.bin", draw(st.sampled_from([c for c, dtype in CODES.items() if _fitting(joined, [dtype])]))
        content, index = _megatron(documents, eos, code)
        if wrong == "form":
            at = draw(st.integers(0, len(index) - 1))
            index = draw(
                st.sampled_from([index[:at], index[:at] + b"\xff" + index[at + 1 :], index[:17] + b"\x06" + index[18:]])
            )
    if wrong == "cut":
        cut = draw(st.integers(1, 40))
        content = content[:-cut]
        if kind == "raw" and not cut % np.dtype(dtype).itemsize:  # a shorter file, and nothing says so
            documents = _split(joined[: -(cut // np.dtype(dtype).itemsize)], eos)
    lists = [document.tolist() for document in documents]
    return DrawnTokens(name, content, index, stated, lists, eos, vocab_size, not is_wrong)


def _split(tokens: Ids, eos: int) -> list[Ids]:
    parts = np.split(tokens, np.flatnonzero(tokens == eos) + 1)
    ended = [part[:-1] if part.size and part[-1] == eos else part for part in parts]
    return ended if tokens[-1] != eos else ended[:-1]


def _fitting(ids: Ids, dtypes: Any) -> list[str]:
    return [each for each in dtypes if np.iinfo(each).min <= ids.min() and ids.max() <= np.iinfo(each).max]


def _numpy(array: NDArray[Any], version: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version)
    return out.getvalue()


def _megatron(documents: list[Ids], eos: int, code: int) -> tuple[bytes, bytes]:
    dtype = np.dtype(CODES[code])
    written = [np.append(document, eos) for document in documents]
    lengths = [document.size for document in written]
    pointers = np.cumsum([0, *lengths[:-1]]) * dtype.itemsize
    index = b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, code, len(lengths), len(lengths) + 1)
    index += np.array(lengths, "<i4").tobytes() + pointers.astype("<i8").tobytes()
    index += np.arange(len(lengths) + 1, dtype="<i8").tobytes()
    return np.concatenate(written).astype(dtype).tobytes(), index
