"""Tokenizers: a Hugging Face tokenizer.json, plain bytes, or a small BPE trained once on the domains.

A tokenizer that is trained here belongs to the lineage of a mix: it is trained on the first domain set and kept for
every later one. Were it trained again after each change of the data, every proxy would have to be trained again too.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as HFTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers

from olmix_core.data.documents import text_documents
from olmix_core.data.formats.raw_tokens import smallest_dtype
from olmix_core.data.input_file import InputFile
from olmix_core.data.passages import cut
from olmix_core.errors import DataError
from olmix_core.identity import digest

# What the end of a document is called in tokenizers that are in use.
USUAL_EOS = (
    "<|endoftext|>",
    "<|end_of_text|>",
    "</s>",
    "<eos>",
    "<|eos|>",
    "[EOS]",
    "<|im_end|>",
    "[SEP]",
)


class Tokenizer:
    """Text to token ids and back. `eos` is the id that ends a document."""

    def __init__(self, model: HFTokenizer | None, eos: int, vocab_size: int) -> None:
        self._model, self.eos, self.vocab_size = model, eos, vocab_size
        if model is not None:
            # Text that spells a special token is text: no document ends because it says so.
            model.encode_special_tokens = True

    @property
    def dtype(self) -> np.dtype[Any]:
        return smallest_dtype(self.vocab_size)

    @cached_property
    def fingerprint(self) -> str:
        definition = "bytes" if self._model is None else self._model.to_str()
        return digest({"definition": definition, "eos": self.eos})

    def to_json(self) -> dict[str, Any]:
        """A record that `from_json` turns back into the same tokenizer."""
        definition = None if self._model is None else self._model.to_str()
        return {"definition": definition, "eos": self.eos}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> "Tokenizer":
        if record["definition"] is None:
            return byte_tokenizer()
        model = HFTokenizer.from_str(record["definition"])
        return cls(model, int(record["eos"]), model.get_vocab_size())

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """The token ids of each text, without special tokens."""
        if self._model is None:
            return [np.frombuffer(text.encode(), np.uint8).astype(np.int64) for text in texts]
        encoded = self._model.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(one.ids, np.int64) for one in encoded]

    @cached_property
    def token_bytes(self) -> NDArray[np.int64]:
        """[vocab_size] bytes of text that each token stands for; 0 for special tokens."""
        if self._model is None:
            return np.concatenate([np.ones(256, np.int64), np.zeros(1, np.int64)])
        added = self._model.get_added_tokens_decoder()
        # In a byte-level vocabulary each character stands for one byte; elsewhere characters are themselves.
        byte_level = "ByteLevel" in str(self._model.to_str())
        sizes = np.zeros(self.vocab_size, np.int64)
        for token, index in self._model.get_vocab().items():
            if index in added:  # as it is, whatever the alphabet of the others
                sizes[index] = 0 if added[index].special else len(token.encode())
            elif byte_level:
                sizes[index] = len(token)
            elif token.startswith("<0x") and token.endswith(">") and len(token) == 6:
                sizes[index] = 1
            else:
                sizes[index] = len(token.replace("\u2581", " ").encode())
        return sizes


def byte_tokenizer() -> Tokenizer:
    return Tokenizer(None, eos=256, vocab_size=257)


def load_tokenizer(definition: str, where: str, eos: str | None = None) -> Tokenizer:
    """A tokenizer from the text of a tokenizer.json; `where` names the file in errors.

    Raises:
        DataError: it is not one, or its end-of-document token is not found.
    """
    try:
        model = HFTokenizer.from_str(definition)
    except Exception as error:  # the library raises plain Exception
        raise DataError(
            f"{where}: cannot be read as a tokenizer: {error}; expected a Hugging Face tokenizer.json"
        ) from error
    for name in (eos,) if eos else USUAL_EOS:
        index = model.token_to_id(name)
        if index is not None:
            return Tokenizer(model, index, model.get_vocab_size())
    raise DataError(
        f"{where}: found no token {eos or 'that usually ends a document'}; expected tokenizer.eos to name the token"
        " of the vocabulary that ends a document"
    )


def train_bpe(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE of `vocab_size` entries. The same texts in the same order give the same tokenizer."""
    model = HFTokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator(texts, trainer)
    # Special tokens come first in the vocabulary.
    return Tokenizer(model, eos=0, vocab_size=model.get_vocab_size())


def sample(passages: Iterable[str], size: int) -> Iterator[str]:
    """The first passages, until `size` bytes are reached."""
    taken = 0
    for passage in passages:
        if taken >= size:
            return
        yield passage
        taken += len(passage.encode())


def train_tokenizer(leaves: Sequence[Sequence[InputFile]], vocab_size: int) -> Tokenizer:
    """Train a BPE on the first text of every leaf, in the order given.

    Raises:
        DataError: a file cannot be read, or there is too little text for such a vocabulary.
    """

    def passages() -> Iterator[str]:
        for files in leaves:
            texts = (part for file in files for document in text_documents(file) for part in cut(document))
            yield from sample(texts, BPE_SAMPLE_BYTES)

    tokenizer = train_bpe(passages(), vocab_size)
    if tokenizer.vocab_size < vocab_size:
        raise DataError(
            f"tokenizer: the text of the domains gave only {tokenizer.vocab_size} of {vocab_size} entries;"
            " expected a smaller tokenizer.vocab_size or more text"
        )
    return tokenizer


BPE_SAMPLE_BYTES = 2 << 20  # text of each leaf that a tokenizer is trained on
