from pathlib import Path

import numpy as np
import pytest

from olmix_core.data.documents import token_documents
from olmix_core.data.leaf_files import LeafFiles, read_files
from olmix_core.storage.content_index import ContentIndex
from olmix_core.storage.listing import expand

TOKENS = np.array([5, 6, 0, 7, 0], np.uint16)


def read(tmp_path: Path, text_field: str = "text", dtype: str | None = None) -> LeafFiles:
    return read_files(expand(str(tmp_path / "leaf")), text_field, dtype, ContentIndex(tmp_path / "cache"))


@pytest.fixture
def leaf(tmp_path: Path) -> Path:
    (tmp_path / "leaf").mkdir()
    return tmp_path / "leaf"


def test_the_reader_states_the_format_and_its_settings(leaf: Path, tmp_path: Path) -> None:
    (leaf / "a.txt").write_text("a")
    (leaf / "b.jsonl").write_text("{}")
    TOKENS.tofile(leaf / "c.npy")
    np.save(leaf / "d.npy", TOKENS)
    readers = {Path(file.url).name: file.reader for file in read(tmp_path, "body").files}
    assert readers == {"a.txt": "text", "b.jsonl": ".jsonl body", "c.npy": "tokens-raw", "d.npy": "tokens-numpy"}
    readers = {Path(file.url).name: file.reader for file in read(tmp_path, dtype="uint16").files}
    assert (readers["c.npy"], readers["d.npy"]) == ("tokens-raw uint16", "tokens-numpy")


def test_a_file_with_a_header_is_read_by_its_header_even_where_a_type_is_stated(leaf: Path, tmp_path: Path) -> None:
    np.save(leaf / "a.npy", TOKENS)
    [file] = read(tmp_path, dtype="uint32").files
    assert [document.tolist() for document in token_documents(file, eos=0, vocab_size=8)] == [[5, 6], [7]]


def test_an_index_file_is_part_of_the_content(leaf: Path, tmp_path: Path) -> None:
    TOKENS.tofile(leaf / "a.bin")
    [before] = read(tmp_path).contents
    (leaf / "a.idx").write_bytes(b"MMIDIDX")
    files = read_files(expand(str(leaf / "*.bin")), "text", "uint16", ContentIndex(tmp_path / "cache"))
    [file] = files.files
    assert (file.reader, file.dtype, Path(file.index or "").name) == ("tokens-megatron", None, "a.idx")
    assert len(files.contents) == 2
    assert before[2] == "tokens-raw"


def test_a_content_is_opened_once_to_find_its_format(
    leaf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(leaf / "a.npy", TOKENS)
    first = read(tmp_path)
    monkeypatch.setattr("olmix_core.data.leaf_files.format_at", None)
    assert read(tmp_path) == first


def test_names_of_files_decide_nothing(leaf: Path, tmp_path: Path) -> None:
    for name, text in (("a.txt", "one"), ("b.txt", "two")):
        (leaf / name).write_text(text)
    before = read(tmp_path)
    for name, text in (("a.txt", "two"), ("b.txt", "one")):
        (leaf / name).write_text(text)
    after = read(tmp_path)
    assert after.contents == before.contents
    assert [file.content for file in after.files] == [file.content for file in before.files]
