"""Input files of every format, with the same documents and tokens in each."""

import bz2
import csv
import gzip
import io
import json
import lzma
import struct
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
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


def json_list(documents: list[str]) -> bytes:
    return json.dumps([{"id": 1, "text": text} for text in documents], indent=2).encode()


def delimited(documents: list[str], delimiter: str = ",") -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerows([["id", "text"], *([number, text] for number, text in enumerate(documents))])
    return out.getvalue().encode()


def archive(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def shard(documents: list[str]) -> bytes:
    """A shard of WebDataset: texts, and texts in JSON."""
    members: dict[str, bytes] = {}
    for number, text in enumerate(documents):
        if number % 2:
            members[f"{number:05d}.txt"] = text.encode()
        else:
            members[f"{number:05d}.json"] = json.dumps({"text": text}).encode()
    return archive(members)


def warc_record(kind: str, media: str, content: bytes) -> bytes:
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nContent-Type: {media}\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content + b"\r\n\r\n"


def wet(documents: list[str]) -> bytes:
    """Members of gzip, one a record, as Common Crawl writes them."""
    records = [warc_record("warcinfo", "application/warc-fields", b"software: x")]
    records += [warc_record("conversion", "text/plain", text.encode()) for text in documents]
    return b"".join(gzip.compress(record) for record in records)


def arrow_stream(path: Path) -> None:
    table = pa.table({"id": [1, 2, 3, 4], "text": DOCUMENTS})
    with path.open("wb") as out, pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)


TEXT_FILES: dict[str, Callable[[Path], object]] = {
    "a.jsonl": lambda path: path.write_bytes(json_lines(DOCUMENTS)),
    "a.jsonl.gz": lambda path: path.write_bytes(gzip.compress(json_lines(DOCUMENTS))),
    # Two frames, as they come from concatenating files.
    "a.jsonl.zst": lambda path: path.write_bytes(
        zstandard.compress(json_lines(DOCUMENTS[:2])) + zstandard.compress(json_lines(DOCUMENTS[2:]))
    ),
    "a.ndjson.bz2": lambda path: path.write_bytes(bz2.compress(json_lines(DOCUMENTS))),
    "a.jsonl.xz": lambda path: path.write_bytes(lzma.compress(json_lines(DOCUMENTS))),
    "a.json": lambda path: path.write_bytes(json_list(DOCUMENTS)),
    "lines.json.gz": lambda path: path.write_bytes(gzip.compress(json_lines(DOCUMENTS))),
    "a.csv": lambda path: path.write_bytes(delimited(DOCUMENTS)),
    "a.tsv.zstd": lambda path: path.write_bytes(zstandard.compress(delimited(DOCUMENTS, "\t"))),
    "a.tar": lambda path: path.write_bytes(shard(DOCUMENTS)),
    "a.warc.wet.gz": lambda path: path.write_bytes(wet(DOCUMENTS)),
    "a.arrow": arrow_stream,
    "a.feather": lambda path: feather.write_feather(pa.table({"text": DOCUMENTS}), str(path)),
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
