"""Input files of every format, with the same documents and tokens in each."""

import gzip
import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from olmix_core.data.formats.megatron import DTYPES
from olmix_core.data.input_file import InputFile
from olmix_core.data.leaf_files import format_at

DOCUMENTS = ["first document\nwith two lines", "zweites Dokument: äöü 漢字", "", "x" * 5000]
EOS = 0


def json_lines(documents: list[str]) -> bytes:
    return b"".join(json.dumps({"text": text}, ensure_ascii=False).encode() + b"\n" for text in documents)


def parquet(path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2, 3, 4], "text": DOCUMENTS}), path)


TEXT_FILES: dict[str, Callable[[Path], object]] = {
    "a.jsonl": lambda path: path.write_bytes(json_lines(DOCUMENTS)),
    "a.jsonl.gz": lambda path: path.write_bytes(gzip.compress(json_lines(DOCUMENTS))),
    # Two frames, as they come from concatenating files.
    "a.jsonl.zst": lambda path: path.write_bytes(
        zstandard.compress(json_lines(DOCUMENTS[:2])) + zstandard.compress(json_lines(DOCUMENTS[2:]))
    ),
    "a.parquet": parquet,
}


TOKENS = [np.array([5, 6, 7]), np.array([8]), np.array([300, 2, 1])]


def joined() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.concatenate([np.append(document, EOS) for document in TOKENS])


def megatron(
    folder: Path, documents: Sequence[np.ndarray[tuple[int], np.dtype[np.int64]]] | None = None, code: int = 8
) -> None:
    """A Megatron file of `documents`, each with its last token, in the type that has `code`."""
    if documents is None:
        documents = [np.append(document, EOS) for document in TOKENS]
    dtype = np.dtype(DTYPES[code])
    np.concatenate(documents).astype(dtype).tofile(folder / "a.bin")
    lengths = [document.size for document in documents]
    pointers = np.cumsum([0, *lengths[:-1]]) * dtype.itemsize
    head = b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, code, len(lengths), len(lengths) + 1)
    body = np.array(lengths, "<i4").tobytes() + pointers.astype("<i8").tobytes()
    (folder / "a.idx").write_bytes(head + body + np.arange(len(lengths) + 1, dtype="<i8").tobytes())


TOKEN_FILES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "raw": ("a.npy", lambda folder: joined().astype("<u2").tofile(folder / "a.npy")),
    "raw 32": ("a.npy", lambda folder: joined().astype("<u4").tofile(folder / "a.npy")),
    "numpy": ("a.npy", lambda folder: np.save(folder / "a.npy", joined().astype(np.uint32))),
    "raw bin": ("a.bin", lambda folder: joined().astype("<u2").tofile(folder / "a.bin")),
    "megatron": ("a.bin", megatron),
}


def token_file(kind: str, folder: Path) -> InputFile:
    name, write = TOKEN_FILES[kind]
    write(folder)
    url = str(folder / name)
    return InputFile(
        url,
        "tokens-megatron" if kind == "megatron" else format_at(url).name,
        dtype="uint32" if kind == "raw 32" else None,
        index=str(folder / "a.idx") if kind == "megatron" else None,
    )
