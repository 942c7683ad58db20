"""Real text to train on."""

from collections.abc import Iterator

import pytest
import torch

from olmix_core.data.corpus import Corpus, open_corpus
from olmix_core.data.input_file import InputFile
from olmix_core.data.tokenisation import tokenise
from olmix_core.data.tokenizer import byte_tokenizer
from olmix_core.storage.store import Store


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, list[str]]) -> dict[str, Corpus]:
    """Real text of three kinds, and a `tiny` leaf of one short document."""
    folder = tmp_path_factory.mktemp("corpora")
    store = Store(str(folder / "store"))
    found = {}
    for name, documents in {**texts, "tiny": ["A short document, read many times over: forty-nine."]}.items():
        files = []
        for number, document in enumerate(documents[:12]):
            path = folder / f"{name}-{number}.txt"
            path.write_text(document[:20_000])
            files.append(InputFile(str(path), "text"))
        tokenise(files, byte_tokenizer(), store, name)
        found[name] = open_corpus(store, name, byte_tokenizer().dtype)
    return found
