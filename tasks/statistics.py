"""Step `statistics`: one per leaf. Key: the leaf's content and the tokenizer."""

from typing import Any

from olmix_core.corpus import FILES, tokenise
from olmix_core.formats import InputFile
from olmix_core.store import Store
from olmix_core.tokenizer import Tokenizer
from tasks.step import Payload, Result, step
from tasks.tokenizer import tokenizer_path


def corpus_folder(key: str) -> str:
    """Where the tokens of a leaf lie, by the key of its statistics."""
    return f"cache/tokens/{key}"


@step("statistics", code_version=2)
def statistics(payload: Payload, store: str, *, label: str, files: list[dict[str, Any]]) -> Result:
    """Tokenise a leaf, hold out a slice of it, and count it."""
    opened = Store(store)
    tokenizer = Tokenizer.from_json(opened.read_json(tokenizer_path(payload["tokenizer"])))
    folder = corpus_folder(statistics.key(payload))
    found = tokenise([InputFile(**file) for file in files], tokenizer, opened, folder)
    return {"statistics": found.to_json(), "files": {f"{folder}/{name}": None for name in FILES}}
