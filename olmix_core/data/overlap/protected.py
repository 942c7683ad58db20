"""Protected text: what no proxy may train on, since proxies are evaluated on it.

It comes as *passages*: those that are held out of leaves, and the documents of tasks. What is looked for elsewhere are
*pieces* of passages, of 2 KiB to 4 KiB, so that text is found whatever it stands beside and wherever it is cut. A
passage that holds most of a piece is not trained on. Documents of one leaf are often alike, so that in the leaf that
text is held out of, only a whole piece counts.

A passage below 2 KiB may be no more than a licence header. It counts where it stands as a document of its own. In
longer passages it counts if it has 256 bytes and they are few; text that stands in many is boilerplate. A question of a
task counts from 80 bytes on. Documents of 256 bytes or more that stand in a protected passage, as where a book is cut
into paragraphs, are found from their own windows.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np
from numpy.typing import NDArray

from olmix_core.data.corpus import BATCH, Corpus
from olmix_core.data.documents import text_documents
from olmix_core.data.passages import cut
from olmix_core.data.tasks import Item, TaskSource, read_items, sampled
from olmix_core.data.tokenizer import Tokenizer

PIECE_BYTES = 2 << 10
SHORTEST_BYTES = 64  # shorter passages are the same by chance
SHORTEST_PART_BYTES = 256  # of a passage that counts where it is a part of another
SHORTEST_PROMPT_BYTES = 80  # about 13 words, as GPT-3 compares (Brown et al. 2020, appendix C)
SAME_SIZE = 4 / 3  # of a passage that is about the same, relative to a short one
MOST_PLACES = 8  # a short passage in more passages of a leaf is boilerplate
NO_LIMIT = 1 << 62


@dataclass(frozen=True)
class Piece:
    """A part of a protected passage that is looked for.

    Attributes:
        start: Its first token in the passage.
        end: Its end.
        longest: Tokens of a passage up to which it always counts as holding the piece.
        most: Longer passages of a leaf that may hold it; if they are more, they do not count.
    """

    start: int
    end: int
    longest: int = NO_LIMIT
    most: int = 0


@dataclass(frozen=True)
class ProtectedPassage:
    """A passage that no proxy may train on.

    Attributes:
        source: Leaf that it is held out of, or task.
        tokens: Its token ids, without the end of the document.
        size: Bytes of its text.
        pieces: The parts of it that are looked for.
    """

    source: str
    tokens: NDArray[np.int64]
    size: int
    pieces: tuple[Piece, ...]


def heldout_passages(leaf: str, corpus: Corpus, eos: int) -> Iterator[ProtectedPassage]:
    """List the held-out passages of a leaf.

    Args:
        leaf: Fingerprint of the leaf.
        corpus: Its tokens.
        eos: The token that ends a document.

    Yields:
        The passages.
    """
    for ids, size in zip(corpus.heldout, corpus.heldout_bytes.tolist(), strict=True):
        yield _passage(leaf, ids[:-1] if ids.size and ids[-1] == eos else ids, size)


def task_passages(task: str, source: TaskSource, tokenizer: Tokenizer) -> Iterator[ProtectedPassage]:
    """List the documents of a task.

    Args:
        task: Fingerprint of the task.
        source: Where its documents are.
        tokenizer: The tokenizer.

    Yields:
        The documents of a file, or the passages of plain text.
    """
    if source.file is not None:
        yield from _prompts(task, sampled(list(read_items(source.file)), source.sample), tokenizer)
    stream = (part for file in source.texts for text in text_documents(file) for part in cut(text))
    while batch := list(islice(stream, BATCH)):
        for text, ids in zip(batch, tokenizer.encode(batch), strict=True):
            yield _passage(task, ids, len(text.encode()))


def _prompts(task: str, items: Sequence[Item], tokenizer: Tokenizer) -> Iterator[ProtectedPassage]:
    """The documents of a file: what is scored, and what stands before it."""
    for batch in _batches(items):
        texts = [_parts(item) for item in batch]
        heads = tokenizer.encode([head for head, _ in texts])
        tails = tokenizer.encode([tail for _, tail in texts])
        for (head, tail), first, last in zip(texts, heads, tails, strict=True):
            ids, size = np.concatenate([first, last]), len((head + tail).encode())
            if not head and size >= PIECE_BYTES:
                yield _passage(task, ids, size)
                continue
            spans = {(0, ids.size): size, (first.size, ids.size): len(tail.encode())}
            pieces = tuple(Piece(*span) for span, length in spans.items() if length >= SHORTEST_PROMPT_BYTES)
            yield ProtectedPassage(task, ids, size, pieces)


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def _parts(item: Item) -> tuple[str, str]:
    """The end of the context up to its last paragraph, and this paragraph with the continuation.

    Examples in the context stand in other paragraphs than the question. A long continuation stands for itself.
    """
    if len(item.continuation.encode()) >= PIECE_BYTES:
        return "", item.continuation
    context = item.context[-PIECE_BYTES:]
    split = context.rstrip().rfind("\n\n") + 2 if "\n\n" in context.rstrip() else 0
    return context[:split], context[split:] + item.continuation


def _passage(source: str, ids: NDArray[np.int64], size: int) -> ProtectedPassage:
    """A passage in pieces of about the same length."""
    if size < PIECE_BYTES:
        piece = Piece(0, ids.size, int(ids.size * SAME_SIZE), MOST_PLACES if size >= SHORTEST_PART_BYTES else 0)
        pieces: Iterable[Piece] = [piece] if size >= SHORTEST_BYTES else []
    else:
        ends = np.linspace(0, ids.size, size // PIECE_BYTES + 1).astype(int).tolist()
        pieces = (Piece(start, end) for start, end in pairwise(ends))
    return ProtectedPassage(source, ids, size, tuple(pieces))
