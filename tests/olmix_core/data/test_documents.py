"""Every format gives the same documents; what is damaged is named."""

import gzip
import os
from pathlib import Path

import psutil
import pytest

from olmix_core.data.documents import text_documents, token_documents
from olmix_core.data.input_file import InputFile
from olmix_core.data.leaf_files import format_at
from olmix_core.errors import DataError
from tests.support.input_files import DOCUMENTS, EOS, TEXT_FILES, TOKEN_FILES, TOKENS, json_lines, parquet, token_file


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
    with pytest.raises(DataError, match="found id 300; expected ids below the tokenizer's 256"):
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
