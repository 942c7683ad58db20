"""Step `tokenizer`: one per mix. Key: how it is made, and the content it is trained on."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from olmix_core.data.input_file import InputFile
from olmix_core.data.tokenizer import byte_tokenizer, load_tokenizer, train_tokenizer
from olmix_core.serialization import INLINE, OMIT_NONE, JsonObject, JsonRecord
from olmix_core.storage.filesystem import open_file
from olmix_core.storage.layout import tokenizer_path
from olmix_core.storage.store import Store
from tasks.runtime.artifacts import Artifacts, Done, Where
from tasks.runtime.payload import DATA, cause
from tasks.runtime.step import step


@dataclass(frozen=True)
class TokenizerSettings(JsonRecord):
    """What a tokenizer is, apart from the domains that it is trained on.

    Attributes:
        kind: "bpe", "file" or "bytes".
        vocab_size: Entries of the vocabulary, of kind bpe.
        content: Content hash of the file, of kind file.
        ignores: Settings of the file that are switched off (truncation, padding, a template of the post-processor that
            drops or repeats the text); None where it has none.
        eos: Token that ends a document, of kind file; None where it is found by its usual names.
    """

    kind: str
    vocab_size: int | None = field(default=None, metadata=OMIT_NONE)
    content: str | None = field(default=None, metadata=OMIT_NONE)
    ignores: Sequence[str] | None = field(default=None, metadata=OMIT_NONE)
    eos: str | None = field(default=None, metadata=OMIT_NONE)

    def to_json(self) -> JsonObject:
        """Return the settings as plain JSON.

        Returns:
            The fields of this kind; `eos` is there for every file.
        """
        return {**super().to_json(), **({"eos": self.eos} if self.kind == "file" else {})}


@dataclass(frozen=True)
class TokenizerPayload(JsonRecord):
    """What a tokenizer depends on.

    Attributes:
        settings: What it is.
        leaves: Fingerprints of the leaves that it is trained on; none unless it is trained.
    """

    settings: TokenizerSettings = field(metadata=INLINE)
    leaves: Sequence[str] = field(metadata=cause(DATA))


@dataclass(frozen=True)
class TokenizerResult(JsonRecord):
    """A tokenizer in the store, by its fingerprint."""

    fingerprint: str
    vocab_size: int
    files: dict[str, str | None]


def _forecast(payload: TokenizerPayload, _key: str, _where: Where) -> TokenizerResult:
    return TokenizerResult("not made yet", payload.settings.vocab_size or 0, {})


def _describe(done: Sequence[Done[TokenizerPayload, TokenizerResult]], _artifacts: Artifacts) -> list[str]:
    [outcome] = done
    kind, result = outcome.payload.settings.kind, outcome.result
    return [f"{kind}, vocabulary of {result.vocab_size}, `{result.fingerprint[:12]}`"]


@step(
    "tokenizer",
    1,
    title="make the tokenizer",
    payload=TokenizerPayload,
    result=TokenizerResult,
    weight=0.5,
    forecast=_forecast,
    artifact=_describe,
)
def tokenizer(
    payload: TokenizerPayload, store: Store, *, file: str | None, leaves: Sequence[Sequence[InputFile]]
) -> TokenizerResult:
    """Make the tokenizer and store it under its fingerprint.

    Args:
        payload: What the tokenizer is.
        store: The store.
        file: Path of a tokenizer.json, of kind file.
        leaves: Input files of each leaf of `payload.leaves`.

    Returns:
        Its fingerprint and size.
    """
    settings = payload.settings
    if settings.kind == "bytes":
        built = byte_tokenizer()
    elif file is not None:
        with open_file(file) as definition:
            built = load_tokenizer(definition.read().decode(), file, settings.eos)
    else:
        assert settings.vocab_size is not None
        built = train_tokenizer([list(files) for files in leaves], settings.vocab_size)
    path = tokenizer_path(built.fingerprint)
    store.write_json(path, built.to_json())
    return TokenizerResult(built.fingerprint, built.vocab_size, {path: None})
