"""Every format gives the same documents; what is damaged is named."""

import bz2
import gzip
import json
import lzma
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

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
    archive,
    delimited,
    json_lines,
    json_list,
    megatron,
    parquet,
    shard,
    token_file,
    warc_record,
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
    "frame.jsonl.zst": (zstandard.compress(json_lines(DOCUMENTS))[:-3], "cannot be read as .jsonl.zst: .*ended before"),
    "half.txt.zst": (zstandard.compress(b"a text " * 9)[:-1], "cannot be read as .txt.zst: .*ended before"),
    "cut.ndjson.bz2": (bz2.compress(json_lines(DOCUMENTS))[:-12], "cannot be read as .ndjson.bz2"),
    "cut.jsonl.xz": (lzma.compress(json_lines(DOCUMENTS))[:-12], "cannot be read as .jsonl.xz"),
    "cut.json": (json_list(DOCUMENTS)[:-2], "cannot be read as .json: the file ends within its list"),
    "half.json": (json_lines(DOCUMENTS)[:-9], "cannot be read as .json: the file ends within a document"),
    "commas.json": (b'[{"text": "a"} {"text": "b"}]', "document 2: found '{' before it; expected a comma"),
    "behind.json": (b'[{"text": "a"}]\n{"text": "b"}', "found text behind the list"),
    "no-json.json": (b"not json, but a text of some length\n" * 9, "document 1: found no JSON"),
    "columns.json": (b'{"text": ["a", "b"]}', "document 1: field 'text': found list"),
    "strings.json": (b'["a", "b"]', "document 1: field 'text': found nothing"),
    "latin1.json": ('[{"text": "ä"}]'.encode("latin-1"), "found bytes that are not UTF-8"),
    "no-header.csv": (b"some text\nmore text\n", "column 'text': found only some text; expected a header"),
    "semicolons.csv": (b"id;text\n1;a\n", "found only id;text; .*separated by commas"),
    "twice.csv": (b"text,text\na,b\n", "column 'text': found twice"),
    "short.csv": (b"id,text\n1,a\n2\n", "line 3: found 1 fields; expected 2"),
    "quotes.csv": (b'id,text\n1,"a"b"\n', "line 2: .*expected fields in double quotes"),
    "open.tsv": (b'id\ttext\n1\t"a\n2\tb\n', "line 3: unexpected end of data"),
    "image.tar": (archive({"a.txt": b"a", "a.jpg": b"x"}), "found the member a.jpg; expected members of text"),
    "cut.tar": (shard(DOCUMENTS)[:1200], "cannot be read as .tar"),
    "header.tar": (b"".join([(whole := shard(DOCUMENTS))[:1024], b"x", whole[1025:]]), "damaged header of a member"),
    "html.warc.gz": (
        gzip.compress(warc_record("response", "application/http", b"HTTP/1.1 200 OK")),
        "record 1: found a response of application/http; expected extracted text",
    ),
    "cut.wet": (warc_record("conversion", "text/plain", b"a text")[:-8], "the file ends within a record"),
    "no.warc": (b"no warc at all", "record 1: found b'no warc at all'; expected records"),
    "cut.arrow": (b"no arrow", "cannot be read as .arrow"),
    "cut.parquet": (b"PAR1 and nothing else", "cannot be read as .parquet"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_named(name: str, tmp_path: Path) -> None:
    content, message = DAMAGED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(text_documents(InputFile(str(tmp_path / name), "text")))


def read(path: Path, content: bytes) -> list[str]:
    path.write_bytes(content)
    return list(text_documents(InputFile(str(path), "text")))


COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
}


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson.gz", "a.json.zst", "a.jsonl.xz"])
@pytest.mark.parametrize("kind", COMPRESSED)
def test_the_first_bytes_name_the_compression_where_the_suffix_names_another(
    kind: str, name: str, tmp_path: Path
) -> None:
    assert read(tmp_path / name, COMPRESSED[kind](json_lines(DOCUMENTS))) == DOCUMENTS


@pytest.mark.parametrize("kind", COMPRESSED)
def test_text_that_is_compressed_under_a_plain_name_is_read(kind: str, tmp_path: Path) -> None:
    assert read(tmp_path / "a.txt", COMPRESSED[kind](b"a text")) == ["a text"]
    assert read(tmp_path / "a.csv", COMPRESSED[kind](delimited(DOCUMENTS))) == DOCUMENTS


def test_a_text_that_begins_as_a_bzip2_does_is_text(tmp_path: Path) -> None:
    assert read(tmp_path / "a.txt", b"BZh9 is how it begins") == ["BZh9 is how it begins"]


@pytest.mark.parametrize("kind", COMPRESSED)
def test_members_and_frames_one_after_the_other_are_one_file(kind: str, tmp_path: Path) -> None:
    content = b"".join(COMPRESSED[kind](json_lines([text])) for text in DOCUMENTS)
    assert read(tmp_path / "a.jsonl", content) == DOCUMENTS


def zstd_frame(content: bytes, window_log: int) -> bytes:
    """A frame by the format's specification (RFC 8878): a window of 2^window_log bytes, one raw block."""
    block = (1 | len(content) << 3).to_bytes(3, "little") + content
    return b"\x28\xb5\x2f\xfd" + bytes([0, (window_log - 10) << 3]) + block


@pytest.mark.parametrize("window_log", [27, 28, 30, 31])
def test_zstd_is_read_with_windows_of_two_gigabytes(window_log: int, tmp_path: Path) -> None:
    assert read(tmp_path / "a.jsonl.zst", zstd_frame(json_lines(DOCUMENTS), window_log)) == DOCUMENTS


def test_a_frame_of_zstd_to_be_passed_over_is_passed_over(tmp_path: Path) -> None:
    content = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd" + zstandard.compress(json_lines(DOCUMENTS))
    assert read(tmp_path / "a.jsonl.zst", content) == DOCUMENTS


BOM = b"\xef\xbb\xbf"


def test_a_byte_order_mark_is_no_part_of_a_record(tmp_path: Path) -> None:
    assert read(tmp_path / "a.jsonl", BOM + json_lines(DOCUMENTS)) == DOCUMENTS
    assert read(tmp_path / "a.jsonl.gz", gzip.compress(BOM + json_lines(DOCUMENTS))) == DOCUMENTS
    assert read(tmp_path / "a.json", BOM + json_list(DOCUMENTS)) == DOCUMENTS
    assert read(tmp_path / "a.csv", BOM + b'"text"\na\n') == ["a"]
    with pytest.raises(DataError, match="line 1: byte 0 is not UTF-8; expected text in UTF-8: convert the file"):
        read(tmp_path / "b.jsonl", '{"text": "a"}\n'.encode("utf-16"))


def test_json_may_be_a_list_lines_or_objects_over_several_lines(tmp_path: Path) -> None:
    objects = [{"text": text, "more": [1, {"text": "]"}]} for text in DOCUMENTS]
    written = [
        json.dumps(objects),
        json.dumps(objects, indent=1, ensure_ascii=False),
        "\n".join(map(json.dumps, objects)),
        "\r\n\r\n".join(json.dumps(each, indent=4) for each in objects),
        " ".join(map(json.dumps, objects)),
    ]
    assert [read(tmp_path / "a.json", text.encode()) for text in written] == [DOCUMENTS] * len(written)
    assert read(tmp_path / "a.json", b" [ ] ") == read(tmp_path / "b.json", b"") == []


def test_json_is_read_in_pieces_wherever_they_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ['ä\n"x"', "漢字 \U0001f600" * 30, "", "x" * 500]
    content = json.dumps([{"n": -1.5e-7, "ok": True, "no": None, "text": text} for text in texts]).encode()
    for size in range(1, 40):
        monkeypatch.setattr("olmix_core.data.formats.json_documents.CHARACTERS", size)
        assert read(tmp_path / "a.json", content) == texts


def test_fields_of_csv_are_of_any_length_and_hold_lines(tmp_path: Path) -> None:
    text = 'a "quoted" line,\r\nand another\n' * 20_000
    assert read(tmp_path / "a.csv", delimited([text, "b"])) == [text, "b"]
    assert read(tmp_path / "a.tsv", b"id\t text \r\n1\ta, b\r\n\r\n2\t\r\n") == ["a, b", ""]


def test_in_an_archive_a_json_beside_a_text_describes_it(tmp_path: Path) -> None:
    members = {
        "x/0.json": b'{"url": "a"}', "x/0.txt": b"a", "x/1.txt": b"b", "x/1.json": b'{"text": "description"}',
        "x/2.json": b'{"text": "c"}', "y/2.json.gz": gzip.compress(b'{"text": "d"}'),
        "README.md": b"no data", "._x": b"no data", "z.jsonl": b'{"text": "e"}\n{"text": "f"}',
    }  # fmt: skip
    assert read(tmp_path / "a.tar", archive(members)) == list("abcdef")
    assert read(tmp_path / "a.tar.gz", gzip.compress(archive(members))) == list("abcdef")


def test_archives_one_after_the_other_are_one_file(tmp_path: Path) -> None:
    assert read(tmp_path / "a.tar", shard(DOCUMENTS[:3]) + shard(DOCUMENTS[3:])) == DOCUMENTS


def column(kind: pa.DataType, values: list[object]) -> pa.Table:
    return pa.table({"text": pa.array(values, kind)})


TEXT_COLUMNS = {
    "dictionary": pa.dictionary(pa.int32(), pa.string()),
    "large dictionary": pa.dictionary(pa.int8(), pa.large_string()),
    "string view": pa.string_view(),
    "large string": pa.large_string(),
    "binary": pa.binary(),
    "large binary": pa.large_binary(),
}


def test_offsets_of_an_arrow_file_that_point_outside_its_text_are_refused(tmp_path: Path) -> None:
    """Arrow would read what lies at that address."""
    path = tmp_path / "a.arrow"
    table = pa.table({"text": ["hello", "world"]})
    with path.open("wb") as out, pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    offsets, damaged = (np.array([0, 5, end], "<i4").tobytes() for end in (10, 1 << 30))
    path.write_bytes(path.read_bytes().replace(offsets, damaged))
    with pytest.raises(DataError, match=re.escape(f"{path}: ")):
        list(text_documents(InputFile(str(path), "text")))


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
@pytest.mark.parametrize("kind", TEXT_COLUMNS)
def test_columns_of_text_are_of_many_types(kind: str, suffix: str, tmp_path: Path) -> None:
    values: list[object] = [text.encode() if "binary" in kind else text for text in DOCUMENTS]
    table = column(TEXT_COLUMNS[kind], values)
    path = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, path)
    else:
        with path.open("wb") as out, pa.ipc.new_file(out, table.schema) as writer:
            writer.write_table(table)
    assert list(text_documents(InputFile(str(path), "text"))) == DOCUMENTS


def test_what_is_no_text_in_a_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    for kind, values, message in (
        (pa.dictionary(pa.int8(), pa.int64()), [7], r"found int64; expected text"),
        (pa.list_(pa.string()), [["a"]], r"found list<.*>; expected text"),
        (pa.dictionary(pa.int8(), pa.string()), ["a", None], "row 1: column 'text': found null; expected text"),
        (pa.binary(), [b"a", b"\xff"], "row 1: column 'text': byte 0 is not UTF-8"),
    ):
        pq.write_table(column(kind, list(values)), path)
        with pytest.raises(DataError, match=message):
            list(text_documents(InputFile(str(path), "text")))


def test_a_few_bytes_that_unpack_to_many_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as out:
        for _ in range(17):
            out.write(bytes(16 << 20))
    assert path.stat().st_size < 2 << 20
    with pytest.raises(DataError, match=r"line 1: found a document of more than 256 MiB"):
        list(text_documents(InputFile(str(path), "text")))


@pytest.mark.parametrize("name", ["huge.txt", "huge.jsonl", "huge.csv", "huge.npy"])
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


@pytest.mark.parametrize("stated", [None, *TYPES])
def test_a_raw_file_of_floats_is_refused(stated: str | None, tmp_path: Path) -> None:
    file = raw(tmp_path / "a.bin", np.random.default_rng(0).integers(0, 60_000, 4000), "float32", stated)
    with pytest.raises(DataError, match=r"a\.bin: found floats of 32 bits; expected tokens as integers"):
        list(token_documents(file, eos=EOS, vocab_size=65_536))


def test_a_wider_raw_file_with_ids_outside_the_vocabulary_is_refused(tmp_path: Path) -> None:
    file = raw(tmp_path / "a.bin", np.random.default_rng(0).integers(0, 66_000, 4000), "uint32", None)
    with pytest.raises(DataError, match="found wider integers than uint16 with ids outside a vocabulary of 65437"):
        list(token_documents(file, eos=0, vocab_size=65_437))


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


@pytest.mark.parametrize("size", [98, 102])
def test_a_numpy_file_of_another_length_than_its_header_says_is_refused(size: int, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(100, dtype=np.uint16))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes((content + b"\0\0\0\0")[: len(content) + 2 * (size - 100)])
    with pytest.raises(DataError, match=rf"a.npy: found {size} tokens; expected 100, as its header says"):
        list(token_documents(InputFile(str(tmp_path / "a.npy"), "tokens-numpy"), eos=EOS, vocab_size=512))


@pytest.mark.parametrize("code", [1, 3, 4, 5, 8, 9, 10])
def test_every_integer_type_of_a_megatron_index_is_read(code: int, tmp_path: Path) -> None:
    megatron(tmp_path, [np.append(document % 128, EOS) for document in TOKENS], code=code)
    file = InputFile(str(tmp_path / "a.bin"), "tokens-megatron", index=str(tmp_path / "a.idx"))
    documents = [document.tolist() for document in token_documents(file, eos=EOS, vocab_size=512)]
    assert documents == [(document % 128).tolist() for document in TOKENS]
