"""Passages: the pieces of a document that are shuffled and held out."""

from collections.abc import Iterator

PASSAGE_BYTES = 16 << 10


def cut(document: str, size: int = PASSAGE_BYTES) -> Iterator[str]:
    """Cut a document into passages, after white space where there is any.

    Args:
        document: Text.
        size: Bytes of UTF-8 of a passage, at most.

    Yields:
        The passages; joined, they are the document.
    """
    start = 0
    while start < len(document):
        end = start + size
        piece = document[start:end]
        if len(piece.encode()) > size:
            piece = piece.encode()[:size].decode("utf-8", "ignore")
        if start + len(piece) < len(document):
            space = max(piece.rfind("\n"), piece.rfind(" "))
            piece = piece[: space + 1] if space > len(piece) // 2 else piece
        yield piece
        start += len(piece)
