"""Step `tokenizer`: one per mix. Key: how it is made, and the content it is trained on."""

from typing import Any

from olmix_core.data.input_file import InputFile
from olmix_core.data.tokenizer import byte_tokenizer, load_tokenizer, train_tokenizer
from olmix_core.storage.filesystem import open_file
from olmix_core.storage.layout import tokenizer_path
from olmix_core.storage.store import Store
from tasks.runtime.step import Payload, Result, step


@step("tokenizer", code_version=1)
def tokenizer(payload: Payload, store: str, *, file: str | None, leaves: list[list[dict[str, Any]]]) -> Result:
    """Make the tokenizer and keep it under its fingerprint. `leaves` are the input files of payload["leaves"]."""
    if payload["kind"] == "bytes":
        made = byte_tokenizer()
    elif file is not None:
        with open_file(file) as opened:
            made = load_tokenizer(opened.read().decode(), file, payload["eos"])
    else:
        files = [[InputFile(**one) for one in leaf] for leaf in leaves]
        made = train_tokenizer(files, payload["vocab_size"])
    Store(store).write_json(tokenizer_path(made.fingerprint), made.to_json())
    return {
        "fingerprint": made.fingerprint,
        "vocab_size": made.vocab_size,
        "files": {tokenizer_path(made.fingerprint): None},
    }
