"""Every format gives the same documents; what is damaged is named."""

import gzip
import os
from pathlib import Path

import numpy as np
import psutil
import pytest

from olmix_core.data.documents import text_documents, token_documents
from olmix_core.data.input_file import InputFile
from olmix_core.data.leaf_files import format_at
from olmix_core.errors import DataError
from tests.support.input_files import (
    DOCUMENTS,
    EOS,
    TEXT_FILES,
    TOKEN_FILES,
    TOKENS,
    json_lines,
    megatron,
    parquet,
    token_file,
)


@pytest.mark.parametrize("name", TEXT_FILES)
def test_text_formats_give_the_same_documents(name: str, tmp_path: Path) -> None:
    TEXT_FILES[name](tmp_path / name)
    assert list(text_documents(InputFile(str(tmp_path / name), "text"))) == DOCUMENTS


def test_a_text_file_is_a_document(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(DOCUMENTS[1])
    assert list(text_documents(InputFile(str(tmp_path / "a.txt"), "text"))) == [DOCUMENTS[1]]


def test_the_text_field_has_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"body": "b", "text": "t"}\n')
    assert list(text_documents(InputFile(str(tmp_path / "a.jsonl"), "x", text_field="body"))) == ["b"]


DAMAGED: dict[str, tuple[bytes, str]] = {
    "no-json.jsonl": (b'{"text": "a"}\nnot json\n', "line 2: found no JSON"),
    "no-field.jsonl": (b'{"body": "a"}\n', "line 1: field 'text': found nothing"),
    "number.jsonl": (b'{"text": 7}\n', "found int"),
    "latin1.jsonl": ('{"text": "ä"}\n'.encode("latin-1"), "line 1: byte 10 is not UTF-8"),
    "latin1.txt": ("ä".encode("latin-1"), "byte 0 is not UTF-8"),
    "cut.jsonl.gz": (gzip.compress(json_lines(DOCUMENTS))[:-12], "cannot be read as .jsonl.gz"),
    "cut.jsonl.zst": (b"no zstd", "cannot be read as .jsonl.zst"),
    "cut.parquet": (b"PAR1 and nothing else", "cannot be read as .parquet"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_named(name: str, tmp_path: Path) -> None:
    content, message = DAMAGED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(text_documents(InputFile(str(tmp_path / name), "text")))


def test_a_few_bytes_that_unpack_to_many_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as out:
        for _ in range(17):
            out.write(bytes(16 << 20))
    assert path.stat().st_size < 2 << 20
    with pytest.raises(DataError, match=r"line 1: found a document of more than 256 MiB"):
        list(text_documents(InputFile(str(path), "text")))


@pytest.mark.parametrize("name", ["huge.txt", "huge.jsonl", "huge.npy"])
def test_a_file_of_five_gigabytes_of_nothing_is_refused_in_little_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.touch()
    os.truncate(path, 5 << 30)  # sparse: no block of it is on the disk
    file = InputFile(str(path), format_at(str(path)).name if name.endswith(".npy") else "text")
    before = psutil.Process().memory_info().rss
    with pytest.raises(DataError, match=r"more than 256 MiB|without the end of a document"):
        list(token_documents(file, eos=1, vocab_size=512) if file.is_tokens else text_documents(file))
    assert psutil.Process().memory_info().rss - before < 1 << 30


def test_a_parquet_without_the_column_is_named(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="column 'body': found only id, text"):
        list(text_documents(InputFile(str(tmp_path / "a.parquet"), "x", text_field="body")))
    with pytest.raises(DataError, match="column 'id': found int64; expected text"):
        list(text_documents(InputFile(str(tmp_path / "a.parquet"), "x", text_field="id")))


@pytest.mark.parametrize("kind", TOKEN_FILES)
def test_token_formats_give_the_same_documents(kind: str, tmp_path: Path) -> None:
    documents = list(token_documents(token_file(kind, tmp_path), eos=EOS, vocab_size=512))
    assert [document.tolist() for document in documents] == [document.tolist() for document in TOKENS]


@pytest.mark.parametrize("kind", TOKEN_FILES)
def test_ids_beyond_the_vocabulary_are_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found id 300; expected ids from 0 to below the tokenizer's 256"):
        list(token_documents(token_file(kind, tmp_path), eos=EOS, vocab_size=256))


def test_documents_longer_than_a_block_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olmix_core.data.formats.raw_tokens.TOKENS_AT_ONCE", 2)
    documents = list(token_documents(token_file("raw", tmp_path), eos=EOS, vocab_size=512))
    assert [document.tolist() for document in documents] == [document.tolist() for document in TOKENS]


def test_a_cut_megatron_pair_is_named(tmp_path: Path) -> None:
    file = token_file("megatron", tmp_path)
    (tmp_path / "a.bin").write_bytes((tmp_path / "a.bin").read_bytes()[:-4])
    with pytest.raises(DataError, match="is shorter than"):
        list(token_documents(file, eos=EOS, vocab_size=512))
    (tmp_path / "a.idx").write_bytes(b"MMIDIDX\x00\x00short")
    with pytest.raises(DataError, match="no Megatron index"):
        list(token_documents(file, eos=EOS, vocab_size=512))


def test_half_a_token_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"\x01\x00\x02")
    with pytest.raises(DataError, match="no multiple of 2 bytes"):
        list(token_documents(InputFile(str(tmp_path / "a.npy"), "tokens-raw"), eos=EOS, vocab_size=512))


def raw(path: Path, tokens: np.ndarray[tuple[int], np.dtype[np.int64]], dtype: str, stated: str | None) -> InputFile:
    tokens.astype(np.dtype(dtype).newbyteorder("<")).tofile(path)
    return InputFile(str(path), "tokens-raw", dtype=stated)


TYPES = ("uint16", "uint32", "int32", "int64")


@pytest.mark.parametrize("vocab_size", [512, 50_000, 65_536, 100_000])
@pytest.mark.parametrize("stated", [None, *TYPES])
@pytest.mark.parametrize("written", TYPES)
def test_a_raw_file_of_another_type_is_refused_with_the_type_that_fits(
    written: str, stated: str | None, vocab_size: int, tmp_path: Path
) -> None:
    tokens = np.random.default_rng(0).integers(0, min(vocab_size, 60_000), 4000)
    file = raw(tmp_path / "a.bin", tokens, written, stated)
    read_as = stated or ("uint16" if vocab_size <= 1 << 16 else "uint32")
    if {written, read_as} <= {"uint32", "int32"} or written == read_as:
        documents = token_documents(file, eos=EOS, vocab_size=vocab_size)
        assert sum(document.size + 1 for document in documents) in (tokens.size, tokens.size + 1)
        return
    fits = {"int32": "uint32"}.get(written, written)
    with pytest.raises(DataError, match=rf"no file of {read_as} tokens .* set dtype: {fits}"):
        list(token_documents(file, eos=EOS, vocab_size=vocab_size))


@pytest.mark.parametrize("mask", [-100, -1])
@pytest.mark.parametrize("vocab_size", [512, 65_436, 65_437, 65_536, 100_000])
@pytest.mark.parametrize("kind", ["raw int32", "raw int64", "numpy", "megatron"])
def test_masked_labels_are_refused_by_position(kind: str, vocab_size: int, mask: int, tmp_path: Path) -> None:
    tokens = np.random.default_rng(0).integers(1, 500, 300)
    tokens[40] = mask
    if kind == "numpy":
        np.save(tmp_path / "a.npy", tokens.astype(np.int32))
        file = InputFile(str(tmp_path / "a.npy"), "tokens-numpy")
    elif kind == "megatron":
        megatron(tmp_path, [tokens], code=4)
        file = InputFile(str(tmp_path / "a.bin"), "tokens-megatron", index=str(tmp_path / "a.idx"))
    else:
        dtype = kind.split()[1]
        file = raw(tmp_path / "a.bin", tokens, dtype, dtype)
    with pytest.raises(DataError, match=rf"token 40: found id {mask}; expected ids from 0 to below"):
        list(token_documents(file, eos=EOS, vocab_size=vocab_size))


@pytest.mark.parametrize("code", [1, 3, 4, 5, 8, 9, 10])
def test_every_integer_type_of_a_megatron_index_is_read(code: int, tmp_path: Path) -> None:
    megatron(tmp_path, [np.append(document % 128, EOS) for document in TOKENS], code=code)
    file = InputFile(str(tmp_path / "a.bin"), "tokens-megatron", index=str(tmp_path / "a.idx"))
    documents = [document.tolist() for document in token_documents(file, eos=EOS, vocab_size=512)]
    assert documents == [(document % 128).tolist() for document in TOKENS]
