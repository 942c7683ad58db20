"""Score proxies in bits per byte (BPB); lower is better.

    BPB = -log2 p(text | context) / bytes(text)

The BPB of a JSONL task is the mean over documents of the continuation's BPB given its context. The BPB of held-out and
plain text is all bits over all bytes.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from olmix_core.data.corpus import BATCH, Corpus
from olmix_core.data.passages import cut
from olmix_core.data.tasks import Item
from olmix_core.data.tokenizer import Tokenizer
from olmix_core.errors import EvaluationError
from olmix_core.proxies.model import Transformer
from olmix_core.proxies.results import Score

TOKENS_AT_ONCE = 16_384  # in one pass through the model
CPU_LOGITS, CUDA_LOGITS = 1 << 22, 1 << 28  # in one pass through the output layer

# A prefix that documents share, such as the examples of a few-shot task, is read once if it has at least SHARED_TOKENS.
# A document joins a group if the group keeps at least SHARED_PART of the prefix that it shared before.
SHARED_TOKENS = 32
SHARED_PART = 0.75


@dataclass(frozen=True)
class Window:
    """A part of a document that goes through the model at once.

    Attributes:
        ids: Token ids [n + 1], of n inputs and, shifted by one, their targets.
        scored_from: First target that is scored.
        document: Index of the document.
    """

    ids: NDArray[np.int64]
    scored_from: int
    document: int


def score_items(
    model: Transformer, tokenizer: Tokenizer, items: Sequence[Item], length: int, population: int | None = None
) -> Score:
    """Score documents of a JSONL task: the mean over documents of the continuation's BPB given its context.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        items: The documents.
        length: Tokens of context at most; a longer one loses its beginning.
        population: Number of documents that `items` are a sample of; None for all.

    Returns:
        The score; with a standard error for a sample.
    """
    sizes = np.array([len(item.continuation.encode()) for item in items])
    bpb = bits_of(model, windows_of(tokenizer, items, length), len(items)) / sizes
    return Score(float(np.mean(bpb)), len(items), standard_error(bpb, population))


def windows_of(tokenizer: Tokenizer, items: Sequence[Item], length: int) -> list[Window]:
    """Split documents into windows. Context and continuation are tokenised separately.

    Args:
        tokenizer: The tokenizer.
        items: The documents.
        length: Inputs of a window at most.

    Returns:
        The windows, which score every token of the continuations once.
    """
    contexts = tokenizer.encode([item.context for item in items])
    continuations = tokenizer.encode([item.continuation for item in items])
    windows: list[Window] = []
    for document, (context, continuation) in enumerate(zip(contexts, continuations, strict=True)):
        ids = np.concatenate([[tokenizer.eos], context, continuation])
        windows += _windows(ids, 1 + context.size, length, document)
    return windows


def standard_error(values: NDArray[np.float64], population: int | None) -> float | None:
    """Compute the standard error of the mean of a sample drawn without replacement (Cochran 1977, theorem 2.2).

    Args:
        values: The sample [n].
        population: Size of what it was drawn from; None for all of it.

    Returns:
        The standard error, or None for the whole population and for a sample of one.
    """
    if population is None or values.size < 2:
        return None
    left_out = 1 - values.size / population
    return float(values.std(ddof=1) * math.sqrt(left_out / values.size))


def score_heldout(model: Transformer, tokenizer: Tokenizer, corpora: Sequence[Corpus], length: int) -> Score:
    """Score the held-out passages of leaves: all bits over all bytes.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        corpora: The leaves.
        length: Inputs of a window at most.

    Returns:
        The score; NaN without text.
    """
    passages = [ids for corpus in corpora for ids in corpus.heldout]
    size = sum(int(corpus.heldout_bytes.sum()) for corpus in corpora)
    bits = _total_bits(model, tokenizer, passages, length)
    return Score(bits / size if size else math.nan, len(passages))


def score_text(model: Transformer, tokenizer: Tokenizer, documents: Iterable[str], length: int) -> Score:
    """Score plain text: all bits over all bytes.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        documents: The documents; they are cut into passages, of which only some are in memory.
        length: Inputs of a window at most.

    Returns:
        The score; NaN without text.
    """
    bits, size, count = 0.0, 0, 0
    stream = (part for document in documents for part in cut(document))
    while passages := list(islice(stream, BATCH)):
        bits += _total_bits(model, tokenizer, tokenizer.encode(passages), length)
        size += sum(len(passage.encode()) for passage in passages)
        count += len(passages)
    return Score(bits / size if size else math.nan, count)


def _total_bits(model: Transformer, tokenizer: Tokenizer, passages: Sequence[NDArray[np.int64]], length: int) -> float:
    """-log2 p of all tokens of the passages."""
    windows: list[Window] = []
    for document, ids in enumerate(passages):
        windows += _windows(np.concatenate([[tokenizer.eos], ids]), 1, length, document)
    return float(bits_of(model, windows, len(passages)).sum())


def _windows(ids: NDArray[np.int64], first: int, length: int, document: int) -> list[Window]:
    """Cover the targets ids[first:] by windows of at most `length` targets."""
    if ids.size - first <= length:
        start = max(0, ids.size - length - 1)
        return [Window(ids[start:], first - start - 1, document)]
    return [Window(ids[start - 1 : start + length], 0, document) for start in range(first, ids.size, length)]


@torch.inference_mode()
def bits_of(model: Transformer, windows: Sequence[Window], documents: int) -> NDArray[np.float64]:
    """Compute -log2 p of the scored tokens of each document.

    A prefix that windows share is read once, windows of similar length go through the model together, and the output
    layer is applied only to scored positions.

    Args:
        model: The model.
        windows: The windows.
        documents: Number of documents.

    Returns:
        Bits [documents].
    """
    device = next(model.parameters()).device
    bits = np.zeros(documents)
    for shared, group in group_by_prefix(windows):
        past = model.read(torch.from_numpy(group[0].ids[None, :shared]).to(device)) if shared else None
        for batch in _batches(group, shared):
            ids = torch.zeros(len(batch), max(w.ids.size for w in batch) - shared, dtype=torch.int64)
            scored = torch.zeros(ids.shape[0], ids.shape[1] - 1, dtype=torch.bool)
            for row, window in enumerate(batch):
                ids[row, : window.ids.size - shared] = torch.from_numpy(window.ids[shared:])
                scored[row, window.scored_from - shared : window.ids.size - shared - 1] = True
            ids, scored = ids.to(device), scored.to(device)
            losses = cross_entropy_of(model, model.hidden(ids[:, :-1], past=past)[scored], ids[:, 1:][scored])
            owners = np.repeat([w.document for w in batch], [w.ids.size - 1 - w.scored_from for w in batch])
            np.add.at(bits, owners, losses.double().cpu().numpy() / math.log(2))
    return bits


def cross_entropy_of(model: Transformer, hidden: Tensor, targets: Tensor) -> Tensor:
    """Compute the cross-entropy of targets, some rows at a time.

    Args:
        model: The model.
        hidden: Inputs [N, width] of its output layer.
        targets: Token ids [N].

    Returns:
        Cross-entropy [N], in nats.
    """
    vocabulary = model.embedding.num_embeddings
    at_once = max(1, (CUDA_LOGITS if hidden.is_cuda else CPU_LOGITS) // vocabulary)
    parts = zip(torch.split(hidden, at_once), torch.split(targets, at_once), strict=True)
    losses = [F.cross_entropy(model.logits(rows).float(), ids, reduction="none") for rows, ids in parts]
    return torch.cat(losses) if losses else targets.new_zeros(0, dtype=torch.float32)


def group_by_prefix(windows: Sequence[Window]) -> list[tuple[int, list[Window]]]:
    """Group windows that begin with the same tokens.

    Args:
        windows: The windows.

    Returns:
        Groups with the number of tokens that they share, then all other windows, which share 0. Neither scored tokens
        nor the last one before them are shared.
    """
    shared_groups: list[tuple[int, list[Window]]] = []
    alone: list[Window] = []
    group: list[Window] = []
    shared = 0

    def close() -> None:
        if len(group) > 1:
            shared_groups.append((shared, group))
        else:
            alone.extend(group)

    for window in sorted(windows, key=lambda window: window.ids.astype(">u4").tobytes()):
        common = min(_common(group[0].ids, window.ids), shared, window.scored_from) if group else 0
        if common >= SHARED_TOKENS and common >= SHARED_PART * shared:
            group.append(window)
        else:
            close()
            group, common = [window], window.scored_from
        shared = common
    close()
    return [*shared_groups, (0, alone)] if alone else shared_groups


def _common(first: NDArray[np.int64], second: NDArray[np.int64]) -> int:
    """Length of the common prefix."""
    size = min(first.size, second.size)
    differ = np.flatnonzero(first[:size] != second[:size])
    return int(differ[0]) if differ.size else size


def _batches(group: Sequence[Window], shared: int) -> Iterator[list[Window]]:
    """Batches of windows of similar length, each for one pass through the model."""
    batch: list[Window] = []
    for window in sorted(group, key=lambda window: window.ids.size):
        if batch and (window.ids.size - shared) * (len(batch) + 1) > TOKENS_AT_ONCE:
            yield batch
            batch = []
        batch.append(window)
    yield batch


def check_finite(bpb: float, proxy: str, task: str) -> float:
    """Check that a BPB is a positive number.

    Args:
        bpb: The BPB.
        proxy: Key of the proxy, for the message.
        task: Name of the task, for the message.

    Returns:
        The BPB.

    Raises:
        EvaluationError: If it is not.
    """
    if not (math.isfinite(bpb) and bpb > 0):
        raise EvaluationError(
            f"proxy {proxy[:12]} on task {task!r}: BPB is {bpb}; expected a positive number: the proxy diverged"
            " or the task holds no text that it can score"
        )
    return bpb
