"""Protected text is found wherever it stands, and nothing else is left out of training."""

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer as HFTokenizer

from olmix_core.data import tokenisation
from olmix_core.data.corpus import Corpus, open_corpus
from olmix_core.data.input_file import InputFile
from olmix_core.data.overlap import Overlap, find_overlap, scan
from olmix_core.data.tasks import TaskSource
from olmix_core.data.tokenisation import tokenise
from olmix_core.data.tokenizer import Tokenizer, byte_tokenizer, train_bpe
from olmix_core.storage.store import Store

WORDS = ["".join(random.Random(n).choices("abcdefghijklmnopqrstuvwxyz", k=2 + n % 8)) for n in range(2000)]


def document(seed: int, size: int) -> str:
    """Text of about `size` bytes that stands nowhere else."""
    return " ".join(random.Random(seed).choices(WORDS, k=max(1, round(size / 6.5))))


def documents(seed: int, count: int, size: int = 4000) -> list[str]:
    rng = random.Random(seed)
    return [document(1000 * seed + n, rng.randint(size // 8, size)) for n in range(count)]


BPE = train_bpe(documents(99, 40), 1000)
DECODER = HFTokenizer.from_str(BPE.to_json()["definition"])
LICENCE = document(0, 1000)
SMALL, LARGE = documents(1, 60), documents(2, 120)


class Leaves:
    """Tokenised leaves and tasks in a folder."""

    def __init__(self, folder: Path, tokenizer: Tokenizer) -> None:
        self.folder, self.tokenizer, self.store = folder, tokenizer, Store(str(folder / "store"))
        self.names: list[str] = []
        self.tasks: dict[str, TaskSource] = {}

    def add(self, name: str, *files: Sequence[str], is_large: bool = False) -> None:
        """Tokenise a leaf; of a large one, little is held out."""
        inputs = []
        for number, texts in enumerate(files):
            path = self.folder / f"{name}{number}.jsonl"
            path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
            inputs.append(InputFile(str(path), ".jsonl text"))
        with pytest.MonkeyPatch.context() as patch:
            if is_large:
                patch.setattr(tokenisation, "HELDOUT_BYTES", 300)
            tokenise(inputs, self.tokenizer, self.store, name)
        self.names.append(name)

    def add_task(self, name: str, *items: dict[str, str]) -> None:
        path = self.folder / f"{name}.task.jsonl"
        path.write_text("".join(json.dumps(item) + "\n" for item in items))
        self.tasks[name] = TaskSource(file=str(path))

    def find(self) -> Overlap:
        return find_overlap(self.store, {name: name for name in self.names}, self.tasks, self.tokenizer)

    def corpus(self, name: str, overlap: Overlap | None = None) -> Corpus:
        exclusion = overlap.leaves[name].exclusion if overlap else None
        return open_corpus(self.store, name, self.tokenizer.dtype, exclusion)

    def text(self, ids: np.ndarray) -> str:
        if self.tokenizer is BPE:
            return str(DECODER.decode(ids.tolist()))
        return bytes(ids[ids < 256].tolist()).decode()

    def trained(self, name: str, overlap: Overlap | None = None) -> list[str]:
        corpus = self.corpus(name, overlap)
        return [self.text(corpus.tokens[a:b]) for a, b in zip(corpus.starts, corpus.ends, strict=True)]

    def heldout(self, name: str) -> set[str]:
        return {self.text(ids) for ids in self.corpus(name).heldout}


@pytest.fixture(params=["bytes", "bpe"])
def leaves(request: pytest.FixtureRequest, tmp_path: Path) -> Leaves:
    return Leaves(tmp_path, byte_tokenizer() if request.param == "bytes" else BPE)


def standing(texts: Sequence[str], protected: Iterable[str]) -> list[str]:
    """The protected texts that stand in any of the texts, found by searching for them."""
    everything = "\0".join(texts)
    return [text for text in protected if text in everything]


def parts_of(texts: Iterable[str], size: int = 4096, step: int = 512) -> list[str]:
    """All parts of a size, at multiples of a step."""
    return [text[start : start + size] for text in texts for start in range(0, len(text) - size + 1, step)]


def test_text_held_out_of_a_small_leaf_stands_in_a_larger_one(leaves: Leaves) -> None:
    leaves.add("small", SMALL)
    leaves.add("large", [*LARGE, *SMALL], is_large=True)
    overlap = leaves.find()
    protected = leaves.heldout("small")
    before, after = leaves.trained("large"), leaves.trained("large", overlap)
    assert overlap.leaves["large"].found["small"] == len(standing(before, protected)) >= 2
    assert overlap.protected["small"] == len(protected)
    assert standing(after, protected) == []
    # Nothing else is left out, and nothing of the small one.
    assert after == [text for text in before if not any(held in text for held in protected)]
    assert overlap.leaves["large"].passages == len(before) - len(after)
    assert overlap.leaves["large"].tokens == sum(
        int((corpus.ends - corpus.starts).sum()) * sign
        for corpus, sign in ((leaves.corpus("large"), 1), (leaves.corpus("large", overlap), -1))
    )
    assert overlap.exclusions.keys() == {"large"}
    counts = [(shared.leaves, shared.documents, shared.is_estimate) for shared in overlap.shared]
    assert counts == [(("large", "small"), len(SMALL), False)]


def test_leaves_without_overlap_have_none(leaves: Leaves) -> None:
    leaves.add("small", SMALL)
    leaves.add("large", LARGE)
    leaves.add_task("task", {"context": document(7, 200), "continuation": document(8, 100)})
    overlap = leaves.find()
    assert (overlap.exclusions, overlap.shared) == ({}, ())
    assert {name: found.found for name, found in overlap.leaves.items()} == {"small": {}, "large": {}}
    assert {name: found.documents for name, found in overlap.leaves.items()} == {"small": 60, "large": 120}
    assert overlap.protected["task"] == 1


@pytest.mark.parametrize("size", [600, 3000, 40_000])
def test_text_is_found_in_longer_text_and_across_passages(leaves: Leaves, size: int) -> None:
    # Every document of the small leaf begins somewhere in a long one, and is cut there at other places.
    small = documents(3, 24 if size == 40_000 else 60, size)
    around = [f"{document(n, 9000)}\n{text}\n{document(n + 1, 500)}" for n, text in enumerate(small)]
    leaves.add("small", small)
    leaves.add("large", [*LARGE, *around], is_large=True)
    overlap = leaves.find()
    protected = [text for text in leaves.heldout("small") if len(text) >= 256]
    assert protected
    assert overlap.leaves["large"].found["small"] == len(protected)
    parts = parts_of(protected, 4096 if size == 40_000 else min(size // 10, 2048))
    assert standing(leaves.trained("large"), parts)
    assert standing(leaves.trained("large", overlap), parts) == []


def test_parts_of_held_out_documents_are_found(leaves: Leaves) -> None:
    whole = documents(4, 24, 30_000)
    leaves.add("whole", whole)
    leaves.add("parts", [*LARGE, *parts_of(whole, 5000, 5000)], is_large=True)
    overlap = leaves.find()
    parts = parts_of(leaves.heldout("whole"))
    assert len(standing(leaves.trained("parts"), parts)) > 5
    assert standing(leaves.trained("parts", overlap), parts) == []


def test_held_out_text_cut_into_short_documents_is_found(leaves: Leaves) -> None:
    small = documents(5, 30, 9000)
    cut = [text[start : start + 700] for text in small for start in range(0, len(text) - 699, 700)]
    leaves.add("small", small)
    leaves.add("large", [*LARGE, *cut], is_large=True)
    overlap = leaves.find()
    protected = "\0".join(leaves.heldout("small"))
    before, after = leaves.trained("large"), leaves.trained("large", overlap)
    assert sum(text in protected for text in before) >= 8
    assert not any(text in protected for text in after)
    assert [text for text in before if text not in set(after)] == [text for text in before if text in protected]


def test_boilerplate_is_no_copy(leaves: Leaves, monkeypatch: pytest.MonkeyPatch) -> None:
    # A file of nothing but a licence is held out, and many others begin with it.
    monkeypatch.setattr(tokenisation, "HELDOUT_SHARE", 0.9)
    leaves.add("small", [LICENCE, *documents(5, 30, 1500)])
    assert LICENCE in leaves.heldout("small")
    monkeypatch.undo()
    leaves.add("many", [LICENCE + document(n, 2500) for n in range(100, 120)], is_large=True)
    leaves.add("few", [*LARGE, *(LICENCE + document(n, 2500) for n in range(200, 204))], is_large=True)
    assert {name: found.passages for name, found in leaves.find().leaves.items()} == {"small": 0, "many": 0, "few": 4}


def test_short_documents_count_as_whole_documents_only(leaves: Leaves) -> None:
    short = [document(n, 100)[:100] for n in range(200)]
    leaves.add("small", short)
    leaves.add("same", [*LARGE, *short], is_large=True)
    leaves.add("within", [*LARGE[:5], *(f"{document(n, 500)} {text}" for n, text in enumerate(short))], is_large=True)
    overlap = leaves.find()
    assert overlap.leaves["same"].found["small"] == len(leaves.heldout("small") - leaves.heldout("same")) > 5
    assert "small" not in overlap.leaves["within"].found
    leaves.add("labels", [text[:40] for text in short])
    leaves.add("other", [*LARGE, *(text[:40] for text in short)], is_large=True)
    leaves.names = ["labels", "other"]
    assert leaves.find().exclusions == {}


def test_a_file_twice_in_a_leaf_is_counted_and_held_out_together(leaves: Leaves) -> None:
    leaves.add("twice", LARGE, LARGE[:50])
    overlap = leaves.find()
    assert (overlap.leaves["twice"].documents, overlap.leaves["twice"].copies) == (170, 50)
    assert overlap.exclusions == {}
    assert standing(leaves.trained("twice"), leaves.heldout("twice")) == []


def test_a_copy_within_a_leaf_beside_other_text_is_found(leaves: Leaves) -> None:
    leaves.add("leaf", [*SMALL, *(f"Crawled again.\n{text}" for text in SMALL)])
    overlap = leaves.find()
    protected = [text for text in leaves.heldout("leaf") if len(text) >= 256]
    assert standing(leaves.trained("leaf"), protected)
    assert standing(leaves.trained("leaf", overlap), protected) == []


def test_documents_of_a_task_are_not_trained_on(leaves: Leaves) -> None:
    questions = [f"Question: {document(n, 90)}?\nAnswer:" for n in range(30)]
    answers = [f" {document(n + 50, 30)}" for n in range(30)]
    shots = "\n\n".join(document(n, 300) for n in range(90, 95))
    items = [{"context": f"{shots}\n\n{q}", "continuation": a} for q, a in zip(questions, answers, strict=True)]
    exact = [question + answer for question, answer in zip(questions, answers, strict=True)]
    pages = (f"{document(n, 5000)} {text} {document(n, 300)}" for n, text in enumerate(exact[:20]))
    leaves.add("web", [*LARGE, *pages], is_large=True)
    leaves.add_task("task", *items)
    overlap = leaves.find()
    before = standing(leaves.trained("web"), exact)
    assert len(before) > 15
    assert (overlap.leaves["web"].found, overlap.leaves["web"].passages) == ({"task": len(before)}, len(before))
    assert overlap.protected["task"] == 30
    assert standing(leaves.trained("web", overlap), exact) == []


def test_a_task_of_texts_and_of_long_continuations(leaves: Leaves, tmp_path: Path) -> None:
    essay, chapter = document(1, 30_000), document(2, 9000)
    (tmp_path / "essay.txt").write_text(essay)
    leaves.tasks["essay"] = TaskSource(texts=(InputFile(str(tmp_path / "essay.txt"), ".txt text"),))
    leaves.add_task("chapter", {"context": "", "continuation": chapter}, {"context": "?", "continuation": "!"})
    leaves.add("books", [*LARGE, f"{document(5, 3000)} {essay}", f"{document(6, 100)} {chapter}"])
    overlap = leaves.find()
    assert overlap.leaves["books"].found == {"chapter": 1, "essay": 2}
    assert overlap.protected == {"books": overlap.protected["books"], "chapter": 2, "essay": 2}
    parts = parts_of([essay, chapter])
    assert standing(leaves.trained("books"), parts)
    assert standing(leaves.trained("books", overlap), parts) == []


def test_what_is_found_depends_on_no_chunk(leaves: Leaves, monkeypatch: pytest.MonkeyPatch) -> None:
    leaves.add("small", SMALL)
    leaves.add("large", [*LARGE, *(f"{text[:50]} {text}" for text in SMALL)], is_large=True)
    whole = leaves.find()
    for size in (3000, 50_000):
        monkeypatch.setattr(scan, "CHUNK", size)
        assert leaves.find() == whole


def test_token_files_and_text_are_the_same_text(leaves: Leaves, monkeypatch: pytest.MonkeyPatch) -> None:
    leaves.add("text", SMALL)
    tokenizer = leaves.tokenizer
    ids = [np.append(ids, tokenizer.eos) for ids in tokenizer.encode([*LARGE, *SMALL])]
    path = leaves.folder / "tokens.npy"
    np.concatenate(ids).astype("<u2").tofile(path)
    monkeypatch.setattr(tokenisation, "HELDOUT_BYTES", 300)
    tokenise([InputFile(str(path), "tokens-raw")], tokenizer, leaves.store, "tokens")
    leaves.names.append("tokens")
    overlap = leaves.find()
    protected = leaves.heldout("text")
    assert overlap.leaves["tokens"].found["text"] >= 2
    assert standing(leaves.trained("tokens", overlap), protected) == []


def test_an_exclusion_is_the_same_file_again(leaves: Leaves) -> None:
    leaves.add("small", SMALL)
    leaves.add("large", [*LARGE, *SMALL], is_large=True)
    assert leaves.find() == leaves.find()
    overlap = leaves.find()
    [name] = overlap.exclusions.values()
    assert leaves.store.list("cache/exclusions") == [name] == overlap.lists
    assert overlap.holders(["small", "other"]) == [("large", name)]
