"""Tokenizers: a Hugging Face tokenizer.json, plain bytes, or a small BPE trained once on the domains.

A trained tokenizer belongs to the history of a mix: it is trained on the first domain set and kept for every later one.
If it were trained again after each change of the data, every proxy would have to be trained again too.
"""

import json
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
from olmix_core.serialization import JsonMapping, JsonObject

BPE_SAMPLE_BYTES = 2 << 20  # text of each leaf that a tokenizer is trained on

# Common names of the token that ends a document.
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
    """A tokenizer.

    Attributes:
        eos: Id of the token that ends a document.
        vocab_size: One more than the largest id. Ids need not be contiguous.
        ignored: Settings of the definition that would drop or add tokens and are switched off: "truncation", "padding",
            and "post_processor" where it holds a template without the text, or with the text more than once.
    """

    def __init__(self, model: HFTokenizer | None, eos: int) -> None:
        self._model, self.eos = model, eos
        self.ignored: tuple[str, ...] = ()
        self.vocab_size = 257 if model is None else 1 + max(model.get_vocab().values())
        if model is not None:
            # transformers saves the truncation and padding of its last call: they would cut documents, or fill them.
            self.ignored = tuple(name for name in ("truncation", "padding") if getattr(model, name) is not None)
            model.no_truncation()
            model.no_padding()
            # The library obeys such a template even where it is told to add no special tokens.
            if not _holds_the_text_once(json.loads(model.to_str())["post_processor"]):
                self.ignored += ("post_processor",)
                model.post_processor = None
            # Text that spells a special token is text and must not end a document.
            model.encode_special_tokens = True

    @property
    def dtype(self) -> np.dtype[Any]:
        """Smallest unsigned type that holds every id."""
        return smallest_dtype(self.vocab_size)

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the tokenizer."""
        definition = "bytes" if self._model is None else self._model.to_str()
        return digest({"definition": definition, "eos": self.eos})

    def to_json(self) -> JsonObject:
        """Return the tokenizer as plain JSON.

        Returns:
            Its definition and `eos`.
        """
        definition = None if self._model is None else self._model.to_str()
        return {"definition": definition, "eos": self.eos}

    @classmethod
    def from_json(cls, record: JsonMapping) -> "Tokenizer":
        """Read a tokenizer.

        Args:
            record: Plain JSON, as `to_json` writes it.

        Returns:
            The tokenizer.
        """
        if record["definition"] is None:
            return byte_tokenizer()
        model = HFTokenizer.from_str(record["definition"])
        return cls(model, int(record["eos"]))

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Tokenise texts, without adding special tokens.

        Args:
            texts: The texts.

        Returns:
            Token ids of each text.

        Raises:
            DataError: A text has characters for which the tokenizer has no token.
        """
        if self._model is None:
            return [np.frombuffer(text.encode(), np.uint8).astype(np.int64) for text in texts]
        try:
            encoded = self._model.encode_batch_fast(list(texts), add_special_tokens=False)
        except BaseException as error:
            if not _is_of_the_library(error):
                raise
            raise DataError(
                f"tokenizer.json: a text cannot be encoded: {error}; expected a tokenizer with an unknown token, or one"
                " that falls back on bytes"
            ) from error
        return [np.array(encoding.ids, np.int64) for encoding in encoded]

    @cached_property
    def token_bytes(self) -> NDArray[np.int64]:
        """[vocab_size] bytes of text of each token; 0 for special tokens."""
        if self._model is None:
            return np.concatenate([np.ones(256, np.int64), np.zeros(1, np.int64)])
        added = self._model.get_added_tokens_decoder()
        # In a byte-level vocabulary each character stands for one byte.
        byte_level = "ByteLevel" in str(self._model.to_str())
        sizes = np.zeros(self.vocab_size, np.int64)
        for token, index in self._model.get_vocab().items():
            if index in added:  # spelt as it is in any vocabulary
                sizes[index] = 0 if added[index].special else len(token.encode())
            elif byte_level:
                sizes[index] = len(token)
            elif token.startswith("<0x") and token.endswith(">") and len(token) == 6:
                sizes[index] = 1
            else:
                sizes[index] = len(token.replace("\u2581", " ").encode())
        return sizes


def byte_tokenizer() -> Tokenizer:
    """Make the tokenizer whose tokens are bytes.

    Returns:
        A tokenizer of 256 bytes and the end of a document.
    """
    return Tokenizer(None, eos=256)


def load_tokenizer(definition: str, where: str, eos: str | None = None) -> Tokenizer:
    """Read a Hugging Face tokenizer.

    Args:
        definition: Text of a tokenizer.json.
        where: Its file, for messages.
        eos: Token that ends a document; None for one of the usual names.

    Returns:
        The tokenizer.

    Raises:
        DataError: The text is no tokenizer, two of its tokens have the same id, or its end-of-document token is not
            found.
    """
    try:
        model = HFTokenizer.from_str(definition)
    except BaseException as error:
        if not _is_of_the_library(error):
            raise
        raise DataError(
            f"{where}: cannot be read as a tokenizer: {error}; expected a Hugging Face tokenizer.json"
        ) from error
    _check_ids(model, where)
    for name in (eos,) if eos else USUAL_EOS:
        index = model.token_to_id(name)
        if index is not None:
            return Tokenizer(model, index)
    raise DataError(
        f"{where}: found no token {eos or 'that usually ends a document'}; expected tokenizer.eos to name the token"
        " of the vocabulary that ends a document"
    )


def _is_of_the_library(error: BaseException) -> bool:
    """Whether an error is one of the tokenizer library: a plain Exception, or a panic, which is a BaseException."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _holds_the_text_once(post_processor: JsonMapping | None) -> bool:
    """Whether a post-processor keeps the text as it is, beside what it adds."""
    if post_processor is None:
        return True
    if post_processor["type"] == "Sequence":
        return all(_holds_the_text_once(part) for part in post_processor["processors"])
    if post_processor["type"] != "TemplateProcessing":
        return True
    sequences = [piece["Sequence"]["id"] for piece in post_processor["single"] if "Sequence" in piece]
    return sequences == ["A"]


def _check_ids(model: HFTokenizer, where: str) -> None:
    """Raise if two tokens have the same id, as with added tokens whose number lies among those of the vocabulary."""
    tokens: dict[int, str] = {}
    for token, index in sorted(model.get_vocab().items()):
        if index in tokens:
            raise DataError(
                f"{where}: found the id {index} for both {tokens[index]!r} and {token!r}; expected an id for each"
                " token: number the vocabulary without gaps, and added tokens after it"
            )
        tokens[index] = token


def train_bpe(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train a byte-level BPE; the same texts in the same order give the same tokenizer.

    Args:
        texts: Texts to train on.
        vocab_size: Entries of the vocabulary.

    Returns:
        The tokenizer; smaller where there is too little text.
    """
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
    return Tokenizer(model, eos=0)


def sample(passages: Iterable[str], size: int) -> Iterator[str]:
    """Take the first passages.

    Args:
        passages: The passages.
        size: Bytes after which no further passage is taken.

    Yields:
        The first passages.
    """
    total = 0
    for passage in passages:
        if total >= size:
            return
        yield passage
        total += len(passage.encode())


def train_tokenizer(leaves: Sequence[Sequence[InputFile]], vocab_size: int) -> Tokenizer:
    """Train a BPE on the first text of every leaf.

    Args:
        leaves: Files of each leaf, in the order of training.
        vocab_size: Entries of the vocabulary.

    Returns:
        The tokenizer.

    Raises:
        DataError: A file cannot be read, or there is too little text for such a vocabulary.
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
