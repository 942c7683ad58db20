"""Step `statistics`: one per leaf. Key: the leaf's content and the tokenizer."""

from typing import Any

from olmix_core.data.corpus import FILES, tokenise
from olmix_core.data.input_file import InputFile
from olmix_core.data.tokenizer import Tokenizer
from olmix_core.storage.layout import corpus_folder, tokenizer_path
from olmix_core.storage.store import Store
from tasks.runtime.step import Payload, Result, step


@step("statistics", code_version=2)
def statistics(payload: Payload, store: str, *, label: str, files: list[dict[str, Any]]) -> Result:
    """Tokenise a leaf, hold out a slice of it, and count it."""
    opened = Store(store)
    tokenizer = Tokenizer.from_json(opened.read_json(tokenizer_path(payload["tokenizer"])))
    folder = corpus_folder(statistics.key(payload))
    found = tokenise([InputFile(**file) for file in files], tokenizer, opened, folder)
    return {"statistics": found.to_json(), "files": {f"{folder}/{name}": None for name in FILES}}
