"""A file of a leaf or of a task, and how it is read."""

from dataclasses import dataclass

from olmix_core.serialization import JsonRecord


@dataclass(frozen=True)
class InputFile(JsonRecord):
    """One file and the way it is read.

    Attributes:
        url: Where the file is.
        reader: The format and its settings, such as `.jsonl text` or `tokens-raw uint16`. It is part of a leaf's
            identity: the same bytes read in another way are another text.
        text_field: The field or column that holds the text, of formats that have fields.
        dtype: The type of the tokens, where the configuration states it.
        index: The URL of the index file beside it, of formats that have one.
        content: What stands for the bytes of the file when it was listed (see `olmix_core.storage.content_index`).
        size: Bytes of the file when it was listed.
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
