"""How long an evaluation will take, told before it begins: its work is counted, and the model's speed tried briefly."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from olmix_core.evaluation import TOKENS_AT_ONCE, groups, nats, windows_of
from olmix_core.model import Transformer
from olmix_core.suite import Item
from olmix_core.tokenizer import Tokenizer

TRIAL_SECONDS = 0.3


@dataclass(frozen=True)
class Work:
    """Tokens that go through the model, how many of them are scored, and seconds spent on turning text into them."""

    tokens: int
    scored: int
    row: int  # tokens of a usual row
    seconds: float


def count(tokenizer: Tokenizer, items: Sequence[Item], length: int) -> Work:
    """The work of `bpb_of_items`."""
    started = time.monotonic()
    windows = windows_of(tokenizer, items, length)
    tokens = rows = 0
    for shared, group in groups(windows):
        tokens += shared + sum(window.ids.size - shared for window in group)
        rows += len(group)
    scored = sum(window.ids.size - 1 - window.scored_from for window in windows)
    row = min(length, max(1, tokens // rows))
    return Work(tokens, scored, row, time.monotonic() - started)


@torch.inference_mode()
def seconds(model: Transformer, work: Work) -> float:
    """How long `model` takes for it, by a short trial on rows of its usual length."""
    rows = max(1, TOKENS_AT_ONCE // work.row)
    ids = torch.randint(model.embedding.num_embeddings, (rows, work.row), device=next(model.parameters()).device)
    hidden = model.hidden(ids).flatten(0, 1)
    by_token = _trial(lambda: model.hidden(ids)) / ids.numel()
    by_score = _trial(lambda: nats(model, hidden, ids.flatten())) / ids.numel()
    return work.seconds + work.tokens * by_token + work.scored * by_score


def _trial(run: Callable[[], torch.Tensor]) -> float:
    """Seconds of one call, of as many as fit into a moment; waits for the device."""
    started, calls = time.monotonic(), 0
    while calls == 0 or time.monotonic() - started < TRIAL_SECONDS:
        run().sum().item()
        calls += 1
    return (time.monotonic() - started) / calls
