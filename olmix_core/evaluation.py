"""Evaluation in bits per byte (BPB): how many bits a proxy needs for each byte of text; lower is better.

    BPB = -log2 p(text | context) / bytes(text)

Of a JSONL task it is the mean over documents of the continuation's BPB given its context; of held-out text all bits
over all bytes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from olmix_core.corpus import Corpus
from olmix_core.errors import EvaluationError
from olmix_core.model import Transformer
from olmix_core.suite import Item
from olmix_core.tokenizer import Tokenizer

TOKENS_AT_ONCE = 16_384


@dataclass(frozen=True)
class _Window:
    """Token ids to run through the model, and from which target on they are scored, for document `document`."""

    ids: NDArray[np.int64]
    scored_from: int
    document: int


def bpb_of_items(model: Transformer, tokenizer: Tokenizer, items: Sequence[Item], length: int) -> float:
    """Mean over documents of the continuation's BPB given its context; a long context loses its beginning."""
    contexts = tokenizer.encode([item.context for item in items])
    continuations = tokenizer.encode([item.continuation for item in items])
    windows: list[_Window] = []
    for document, (context, continuation) in enumerate(zip(contexts, continuations, strict=True)):
        ids = np.concatenate([[tokenizer.eos], context, continuation])
        windows += _windows(ids, 1 + context.size, length, document)
    bits = _bits(model, windows, len(items))
    sizes = np.array([len(item.continuation.encode()) for item in items])
    return float(np.mean(bits / sizes))


def bpb_of_heldout(model: Transformer, tokenizer: Tokenizer, corpora: Sequence[Corpus], length: int) -> float:
    """BPB of the held-out passages of some leaves: all bits over all bytes."""
    passages = [ids for corpus in corpora for ids in corpus.heldout]
    size = sum(int(corpus.heldout_bytes.sum()) for corpus in corpora)
    windows: list[_Window] = []
    for document, ids in enumerate(passages):
        windows += _windows(np.concatenate([[tokenizer.eos], ids]), 1, length, document)
    return float(_bits(model, windows, len(passages)).sum() / size)


def _windows(ids: NDArray[np.int64], first: int, length: int, document: int) -> list[_Window]:
    """Cover the targets ids[first:] by windows of at most `length` targets."""
    if ids.size - first <= length:
        start = max(0, ids.size - length - 1)
        return [_Window(ids[start:], first - start - 1, document)]
    return [_Window(ids[start - 1 : start + length], 0, document) for start in range(first, ids.size, length)]


@torch.inference_mode()
def _bits(model: Transformer, windows: Sequence[_Window], documents: int) -> NDArray[np.float64]:
    """[documents] -log2 p of the scored tokens. Windows of like length go through the model together."""
    device = next(model.parameters()).device
    order = sorted(range(len(windows)), key=lambda i: windows[i].ids.size)
    bits = np.zeros(documents)
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and windows[order[end]].ids.size * (end + 1 - start) <= TOKENS_AT_ONCE:
            end += 1
        batch = [windows[i] for i in order[start:end]]
        ids = torch.zeros(len(batch), max(w.ids.size for w in batch), dtype=torch.int64)
        scored = torch.zeros(ids.shape[0], ids.shape[1] - 1, dtype=torch.bool)
        for row, window in enumerate(batch):
            ids[row, : window.ids.size] = torch.from_numpy(window.ids)
            scored[row, window.scored_from : window.ids.size - 1] = True
        ids, scored = ids.to(device), scored.to(device)
        logits = model(ids[:, :-1]).float()
        nats = F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
        totals = (nats.double() * scored).sum(dim=1).cpu().numpy() / math.log(2)
        np.add.at(bits, [window.document for window in batch], totals)
        start = end
    return bits


def finite(bpb: float, proxy: str, task: str) -> float:
    """`bpb`, if it is a positive number. Raises EvaluationError, naming the run and the task."""
    if not (math.isfinite(bpb) and bpb > 0):
        raise EvaluationError(
            f"proxy {proxy[:12]} on task {task!r}: BPB is {bpb}; expected a positive number: the proxy diverged"
            " or the task holds no text that it can score"
        )
    return bpb
