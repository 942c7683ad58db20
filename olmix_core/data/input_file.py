"""A file of a leaf or of a task, and how it is read."""

from dataclasses import dataclass

from olmix_core.serialization import JsonRecord


@dataclass(frozen=True)
class InputFile(JsonRecord):
    """One file and the way it is read.

    Attributes:
        url: where the file is.
        reader: the format and its settings, such as `.jsonl text` or `tokens-raw uint16`. It is part of a leaf's
            identity: the same bytes read in another way are another text.
        text_field: the field or column that holds the text, of formats that have fields.
        dtype: the type of the tokens, where the configuration states it.
        index: the URL of the index file beside it, of formats that have one.
        content: what stands for the bytes of the file when it was listed (see `olmix_core.storage.content_index`).
        size: bytes of the file when it was listed.
    """

    url: str
    reader: str
    text_field: str = "text"
    dtype: str | None = None
    index: str | None = None
    content: str = ""
    size: int = 0

    @property
    def is_tokens(self) -> bool:
        """Whether the file holds tokens rather than text."""
        return self.reader.startswith("tokens")
