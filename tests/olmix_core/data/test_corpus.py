"""Nothing is lost between a file and its tokens, and what is held out is never trained on."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from olmix_core.data.corpus import Corpus, LeafStatistics, open_corpus
from olmix_core.data.input_file import InputFile
from olmix_core.data.passages import PASSAGE_BYTES, cut
from olmix_core.data.tokenisation import HELDOUT_BYTES, HELDOUT_SHARE, tokenise
from olmix_core.data.tokenizer import Tokenizer, byte_tokenizer, train_bpe, train_tokenizer
from olmix_core.errors import DataError
from olmix_core.storage.content_index import ContentIndex
from olmix_core.storage.store import Store
from tests.support.properties import examples

BYTES = byte_tokenizer()


class Folder:
    """Makes leaves of documents in a folder, and opens them again."""

    def __init__(self, path: Path) -> None:
        self.path, self.store, self.made = path, Store(str(path / "store")), 0

    def file(self, documents: Sequence[str]) -> InputFile:
        self.made += 1
        path = self.path / f"{self.made}.jsonl"
        path.write_text("".join(json.dumps({"text": document}) + "\n" for document in documents))
        return InputFile(str(path), ".jsonl text")

    def tokenise(self, files: Sequence[InputFile], tokenizer: Tokenizer = BYTES) -> tuple[LeafStatistics, Corpus]:
        self.made += 1
        name = f"leaf{self.made}"
        return tokenise(files, tokenizer, self.store, name), open_corpus(self.store, name, tokenizer.dtype)

    def leaf(self, *files: Sequence[str]) -> tuple[LeafStatistics, Corpus]:
        return self.tokenise([self.file(documents) for documents in files])


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def text_of(ids: np.ndarray) -> str:
    """The text of byte tokens, the end of a document left out."""
    return bytes(ids[ids < 256].tolist()).decode()


def heldout_of(corpus: Corpus) -> list[str]:
    return [text_of(ids) for ids in corpus.heldout]


def trained_of(corpus: Corpus) -> list[str]:
    return [text_of(corpus.tokens[start:end]) for start, end in zip(corpus.starts, corpus.ends, strict=True)]


def documents(count: int, seed: int = 0, size: int = 300) -> list[str]:
    """Different documents of about `size` bytes."""
    rng = random.Random(seed)
    return [f"{rng.random()} " + "word " * rng.randint(1, size * 2 // 5) for _ in range(count)]


# Cutting


@given(st.text(alphabet=st.characters(codec="utf-8") | st.sampled_from(" \n")), st.integers(4, 40))
def test_cutting_loses_nothing_and_obeys_the_size(document: str, size: int) -> None:
    parts = list(cut(document, size))
    assert "".join(parts) == document
    assert all(0 < len(part.encode()) <= size for part in parts)


@given(st.lists(st.text("abc", min_size=1, max_size=9), min_size=1).map(" ".join))
def test_words_are_not_cut(document: str) -> None:
    assert [word for part in cut(document, 20) for word in part.split()] == document.split()


@given(st.text("ab🙂 ", max_size=200), st.integers(8, 40))
def test_passages_are_not_much_shorter_than_they_may_be(document: str, size: int) -> None:
    parts = list(cut(document, size))
    assert all(len(part.encode()) * 8 + 8 > size for part in parts[:-1])


def test_the_size_is_in_bytes(folder: Folder) -> None:
    parts = list(cut("漢" * PASSAGE_BYTES))
    assert len(parts) == 4  # 3 x 16 KiB, which 3 bytes a character do not divide
    assert max(len(part.encode()) for part in parts) <= PASSAGE_BYTES


# What is held out


@examples(25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=60), min_size=1, max_size=60).filter(any))
def test_statistics_add_up_and_nothing_is_lost(folder: Folder, texts: list[str]) -> None:
    statistics, corpus = folder.leaf(texts)
    kept = [text for text in texts if text]
    assert statistics.documents == len(kept)
    assert statistics.bytes == sum(len(text.encode()) for text in kept)
    assert statistics.tokens == statistics.bytes + len(kept)  # each document has an end
    assert statistics.heldout_tokens == sum(ids.size for ids in corpus.heldout)
    assert statistics.available == int((corpus.ends - corpus.starts).sum())
    assert statistics.heldout_bytes == int(corpus.heldout_bytes.sum())
    assert [len(text.encode()) for text in heldout_of(corpus)] == corpus.heldout_bytes.tolist()
    assert Counter(heldout_of(corpus) + trained_of(corpus)) == Counter(kept)
    assert text_of(corpus.tokens[:]) == "".join(kept)


@examples(25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([f"{i} " * (i % 7 + 1) for i in range(40)]), min_size=1, max_size=200))
def test_what_is_held_out_is_not_trained_on_even_where_documents_repeat(folder: Folder, texts: list[str]) -> None:
    statistics, corpus = folder.leaf(texts)
    assert not set(heldout_of(corpus)) & set(trained_of(corpus))
    assert statistics.heldout_bytes <= HELDOUT_SHARE * statistics.bytes


@pytest.mark.parametrize("size", [300, 20_000])
def test_the_slice_is_within_its_limits_and_near_them(folder: Folder, size: int) -> None:
    small, _ = folder.leaf(documents(40_000 // size * 10, size=size))
    assert 0.5 * HELDOUT_SHARE < small.heldout_bytes / small.bytes <= HELDOUT_SHARE
    large, _ = folder.leaf(documents(3_000_000 // size, size=size))
    assert HELDOUT_BYTES - PASSAGE_BYTES <= large.heldout_bytes <= HELDOUT_BYTES


@pytest.mark.parametrize("count", [100, 2000])
def test_the_slice_does_not_depend_on_the_order_of_files_or_documents(folder: Folder, count: int) -> None:
    texts = documents(count, size=2500)
    _, whole = folder.leaf(texts)
    files = [folder.file(texts[i::7]) for i in range(7)]
    _, ordered = folder.tokenise(files)
    _, reordered = folder.tokenise(files[::-1])
    assert heldout_of(whole)
    assert sorted(heldout_of(whole)) == sorted(heldout_of(ordered)) == sorted(heldout_of(reordered))


def test_the_slice_depends_on_no_order_where_room_runs_out(folder: Folder) -> None:
    # Passages of every size, some repeated: which of them just fit must not depend on which came first.
    rng = random.Random(1)
    texts = [f"{i} " + "x" * rng.choice([10, 1000, 7000, 16_000]) for i in range(300)]
    texts += rng.choices(texts, k=50)
    found = set()
    for _ in range(4):
        rng.shuffle(texts)
        statistics, corpus = folder.leaf(texts)
        assert statistics.heldout_bytes <= HELDOUT_BYTES
        assert not set(heldout_of(corpus)) & set(trained_of(corpus))
        found.add(tuple(sorted(heldout_of(corpus))))
    assert len(found) == 1


def test_copies_at_the_limit_go_together(folder: Folder) -> None:
    rng = random.Random(6)  # the limit falls among copies
    texts = [f"{i} " + "x" * rng.randint(1000, 5000) for i in range(200)] * 4
    found = set()
    for _ in range(3):
        rng.shuffle(texts)
        _, corpus = folder.leaf(texts)
        assert not set(heldout_of(corpus)) & set(trained_of(corpus))
        assert set(Counter(heldout_of(corpus)).values()) == {4}
        found.add(tuple(sorted(heldout_of(corpus))))
    assert len(found) == 1


def test_most_of_the_slice_stays_when_the_leaf_grows(folder: Folder) -> None:
    texts, more = documents(2000), documents(400, seed=1)
    _, before = folder.leaf(texts)
    _, after = folder.leaf(texts, more)
    stayed = set(heldout_of(before)) & set(heldout_of(after))
    assert len(stayed) > 0.75 * len(before.heldout)
    # What entered is new text, or text that the larger share has room for.
    assert len(set(heldout_of(after)) & set(more)) > 0


def test_a_leaf_of_one_document_holds_nothing_out(folder: Folder) -> None:
    statistics, corpus = folder.leaf(["word " * 100])
    assert (statistics.heldout_tokens, statistics.heldout_bytes, corpus.heldout) == (0, 0, ())


# Tokens


BPE = train_bpe(documents(200), 400)


def test_long_documents_are_cut_and_end_once(folder: Folder) -> None:
    statistics, corpus = folder.leaf(["word " * 20_000, "short"])
    assert statistics.documents == 2
    assert np.flatnonzero(corpus.tokens[:] == BYTES.eos).tolist() == [100_000, 100_006]
    assert max(map(len, trained_of(corpus))) <= PASSAGE_BYTES
    assert len(trained_of(corpus)) + len(corpus.heldout) == 8


@pytest.mark.parametrize("tokenizer", [BYTES, BPE], ids=["bytes", "bpe"])
def test_text_and_the_tokens_made_of_it_are_the_same_stream(folder: Folder, tokenizer: Tokenizer) -> None:
    texts = [*documents(50), "word " * 9000, "", "ends in the text: <|endoftext|> is text", "last äöü 漢字"]
    from_text, corpus = folder.tokenise([folder.file(texts)], tokenizer)
    # As a token file is made: every document whole, its end after it.
    pieces = [np.append(np.concatenate(tokenizer.encode(list(cut(text)))), tokenizer.eos) for text in texts if text]
    path = folder.path / "tokens.npy"
    np.concatenate(pieces).astype("<u2").tofile(path)
    from_tokens, same = folder.tokenise([InputFile(str(path), "tokens-raw")], tokenizer)
    assert same.tokens[:].tolist() == corpus.tokens[:].tolist()
    for name in ("documents", "bytes", "tokens", "bytes_per_token"):
        assert getattr(from_tokens, name) == getattr(from_text, name), name
    assert sum(int(tokenizer.token_bytes[ids].sum()) for ids in same.heldout) == from_tokens.heldout_bytes > 0


def test_tokens_take_the_smallest_type(folder: Folder) -> None:
    _, corpus = folder.tokenise([folder.file(documents(10))], BPE)
    assert corpus.tokens[:].dtype == np.uint16
    assert isinstance(corpus.tokens[:], np.memmap)


def test_formats_may_be_mixed_in_a_leaf(folder: Folder) -> None:
    (folder.path / "a.txt").write_text("first")
    statistics, corpus = folder.tokenise([InputFile(str(folder.path / "a.txt"), "text"), folder.file(["second"])])
    assert (statistics.documents, text_of(corpus.tokens[:])) == (2, "firstsecond")


def test_a_leaf_without_text_is_refused_and_leaves_nothing(folder: Folder) -> None:
    file = folder.file(["", ""])
    with pytest.raises(DataError, match=r"\d\.jsonl: this domain holds no text; expected at least one document"):
        tokenise([file], BYTES, folder.store, "leaf")
    assert folder.store.list("leaf") == []


def test_a_file_that_changes_while_it_is_read_leaves_nothing(folder: Folder, tmp_path: Path) -> None:
    path = tmp_path / "growing.txt"
    path.write_text("as it was found")
    with closing(ContentIndex()) as index:
        content, size = index.hash(str(path))
    found = InputFile(str(path), "text", content=content, size=size)
    tokenise([found], BYTES, folder.store, "as-found")
    path.write_text("as it was found, and more")
    with pytest.raises(DataError, match=r"growing\.txt: changed while it was read; .* run again"):
        tokenise([found], BYTES, folder.store, "changed")
    assert folder.store.list("changed") == []


def test_damage_in_the_middle_leaves_nothing(folder: Folder) -> None:
    file = folder.file(documents(400))
    with Path(file.url).open("a") as out:
        out.write("damage\n")
    with pytest.raises(DataError, match="line 401: found no JSON"):
        tokenise([file], BYTES, folder.store, "leaf")
    assert folder.store.list("leaf") == []


# The tokenizer of the domains


def test_a_tokenizer_is_trained_on_every_leaf(folder: Folder) -> None:
    rng = random.Random(0)
    leaves = [
        ["".join(rng.choices(letters, k=400)) + " " for _ in range(30)] for letters in ("abcdef", "ABCDEF", "äöüßéè")
    ]
    trained = train_tokenizer([[folder.file(texts)] for texts in leaves], 512)
    assert trained.vocab_size == 512
    for texts in leaves:
        [ids] = trained.encode([texts[0]])
        assert ids.size < len(texts[0]) * 0.8


def test_too_little_text_for_the_vocabulary_is_told(folder: Folder) -> None:
    with pytest.raises(DataError, match=r"gave only \d+ of 4096 entries; expected a smaller tokenizer\.vocab_size"):
        train_tokenizer([[folder.file(["a few words"])]], 4096)
