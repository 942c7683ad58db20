"""Evaluation in bits per byte (BPB): how many bits a proxy needs for each byte of text; lower is better.

    BPB = -log2 p(text | context) / bytes(text)

Of a JSONL task it is the mean over documents of the continuation's BPB given its context; of held-out and plain text
all bits over all bytes.
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

TOKENS_AT_ONCE = 16_384
CPU_LOGITS, CUDA_LOGITS = 1 << 22, 1 << 28  # at once

# A beginning that documents share (the examples of a few-shot task) is read once where it is at least this long, and
# a document joins others as long as that leaves them this share of what they had in common.
SHARED_TOKENS = 32
SHARED_PART = 0.75


@dataclass(frozen=True)
class Window:
    """Token ids to run through the model, and from which target on they are scored, for document `document`."""

    ids: NDArray[np.int64]
    scored_from: int
    document: int


def bpb_of_items(
    model: Transformer, tokenizer: Tokenizer, items: Sequence[Item], length: int, population: int | None = None
) -> Score:
    """Mean over documents of the continuation's BPB given its context; a long context loses its beginning.

    `population` is the number of documents that `items` are a sample of.
    """
    sizes = np.array([len(item.continuation.encode()) for item in items])
    bpb = bits_of(model, windows_of(tokenizer, items, length), len(items)) / sizes
    return Score(float(np.mean(bpb)), len(items), _standard_error(bpb, population))


def windows_of(tokenizer: Tokenizer, items: Sequence[Item], length: int) -> list[Window]:
    """What goes through the model for `items`; context and continuation become tokens apart."""
    contexts = tokenizer.encode([item.context for item in items])
    continuations = tokenizer.encode([item.continuation for item in items])
    windows: list[Window] = []
    for document, (context, continuation) in enumerate(zip(contexts, continuations, strict=True)):
        ids = np.concatenate([[tokenizer.eos], context, continuation])
        windows += _windows(ids, 1 + context.size, length, document)
    return windows


def _standard_error(values: NDArray[np.float64], population: int | None) -> float | None:
    """Of the mean of a sample drawn without replacement; None of the whole."""
    if population is None or values.size < 2:
        return None
    left_out = 1 - values.size / population
    return float(values.std(ddof=1) * math.sqrt(left_out / values.size))


def bpb_of_heldout(model: Transformer, tokenizer: Tokenizer, corpora: Sequence[Corpus], length: int) -> Score:
    """BPB of the held-out passages of some leaves: all bits over all bytes."""
    passages = [ids for corpus in corpora for ids in corpus.heldout]
    size = sum(int(corpus.heldout_bytes.sum()) for corpus in corpora)
    bits = _total_bits(model, tokenizer, passages, length)
    return Score(bits / size if size else math.nan, len(passages))


def bpb_of_text(model: Transformer, tokenizer: Tokenizer, documents: Iterable[str], length: int) -> Score:
    """BPB of plain text: all bits over all bytes. Documents are cut into passages, of which some are held at once."""
    bits, size, count = 0.0, 0, 0
    stream = (part for document in documents for part in cut(document))
    while passages := list(islice(stream, BATCH)):
        bits += _total_bits(model, tokenizer, tokenizer.encode(passages), length)
        size += sum(len(passage.encode()) for passage in passages)
        count += len(passages)
    return Score(bits / size if size else math.nan, count)


def _total_bits(model: Transformer, tokenizer: Tokenizer, passages: Sequence[NDArray[np.int64]], length: int) -> float:
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
    """[documents] -log2 p of the scored tokens.

    Windows with a beginning in common share the work on it; those of like length go through the model together; the
    output layer is applied only where something is scored.
    """
    device = next(model.parameters()).device
    bits = np.zeros(documents)
    for shared, group in groups(windows):
        past = model.read(torch.from_numpy(group[0].ids[None, :shared]).to(device)) if shared else None
        for batch in _batches(group, shared):
            ids = torch.zeros(len(batch), max(w.ids.size for w in batch) - shared, dtype=torch.int64)
            scored = torch.zeros(ids.shape[0], ids.shape[1] - 1, dtype=torch.bool)
            for row, window in enumerate(batch):
                ids[row, : window.ids.size - shared] = torch.from_numpy(window.ids[shared:])
                scored[row, window.scored_from - shared : window.ids.size - shared - 1] = True
            ids, scored = ids.to(device), scored.to(device)
            found = nats(model, model.hidden(ids[:, :-1], past=past)[scored], ids[:, 1:][scored])
            owners = np.repeat([w.document for w in batch], [w.ids.size - 1 - w.scored_from for w in batch])
            np.add.at(bits, owners, found.double().cpu().numpy() / math.log(2))
    return bits


def nats(model: Transformer, hidden: Tensor, targets: Tensor) -> Tensor:
    """[N] cross-entropy of `targets` [N] given `hidden` [N, width], some rows at a time."""
    vocabulary = model.embedding.num_embeddings
    rows = max(1, (CUDA_LOGITS if hidden.is_cuda else CPU_LOGITS) // vocabulary)
    parts = zip(torch.split(hidden, rows), torch.split(targets, rows), strict=True)
    found = [F.cross_entropy(model.logits(part).float(), wanted, reduction="none") for part, wanted in parts]
    return torch.cat(found) if found else targets.new_zeros(0, dtype=torch.float32)


def groups(windows: Sequence[Window]) -> list[tuple[int, list[Window]]]:
    """Windows that begin alike, with the number of tokens that they share; and all others, which share none.

    No scored token, and not the one before it, is among those shared.
    """
    found: list[tuple[int, list[Window]]] = []
    alone: list[Window] = []
    group: list[Window] = []
    shared = 0

    def close() -> None:
        if len(group) > 1:
            found.append((shared, group))
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
    return [*found, (0, alone)] if alone else found


def _common(one: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    """How many tokens the two begin with alike."""
    size = min(one.size, other.size)
    differ = np.flatnonzero(one[:size] != other[:size])
    return int(differ[0]) if differ.size else size


def _batches(group: Sequence[Window], shared: int) -> Iterator[list[Window]]:
    """Windows of like length, as many as go through the model at once."""
    batch: list[Window] = []
    for window in sorted(group, key=lambda window: window.ids.size):
        if batch and (window.ids.size - shared) * (len(batch) + 1) > TOKENS_AT_ONCE:
            yield batch
            batch = []
        batch.append(window)
    yield batch


def finite(bpb: float, proxy: str, task: str) -> float:
    """`bpb`, if it is a positive number. Raises EvaluationError, naming the run and the task."""
    if not (math.isfinite(bpb) and bpb > 0):
        raise EvaluationError(
            f"proxy {proxy[:12]} on task {task!r}: BPB is {bpb}; expected a positive number: the proxy diverged"
            " or the task holds no text that it can score"
        )
    return bpb
