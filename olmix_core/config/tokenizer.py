"""The section `tokenizer` of the configuration: how text becomes tokens."""

from typing import Annotated, Literal

from pydantic import Field

from olmix_core.config.base import Section


class TrainedBPE(Section):
    """A byte-level BPE trained once on the domains, then frozen for every later version of the mix."""

    kind: Literal["bpe"] = "bpe"
    vocab_size: Annotated[int, Field(ge=512, le=65536)] = Field(2048, description="Entries of the vocabulary.")


class TokenizerFile(Section):
    """A tokenizer of your own, in Hugging Face's format."""

    kind: Literal["file"]
    path: str = Field(description="A tokenizer.json, local or on any fsspec URL.")
    eos: str | None = Field(
        None,
        description="End-of-document token; default: the first of its usual names in the vocabulary.",
    )


class Bytes(Section):
    """Every byte is a token, and 256 ends a document."""

    kind: Literal["bytes"]
