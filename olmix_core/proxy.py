"""Train one proxy: a small language model on one mixture.

AdamW with warm-up and linear decay. On one machine the same mixture, recipe and corpus give the same weights, bit for
bit: one thread, a fixed order of the data, and initial weights that depend on the seed alone.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from olmix_core.corpus import Corpus
from olmix_core.errors import TrainingError
from olmix_core.model import Transformer
from olmix_core.recipe import Proxy
from olmix_core.sampling import LeafStream, schedule

Progress = Callable[[dict[str, float]], None]

REPORT_SECONDS = 0.5
LOSS_POINTS = 64  # of the loss curve that is kept


@dataclass(frozen=True)
class TrainedProxy:
    """A trained proxy and what training it was like. `tokens` and `epochs` are what each leaf really gave."""

    model: Transformer
    tokens: dict[str, int]
    epochs: dict[str, float]
    losses: list[tuple[int, float]]  # (step, mean training loss in nats per token since the last point)
    seconds: float
    parameters: int
    device: str


def best_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(
    mixture: Mapping[str, float],
    corpora: Mapping[str, Corpus],
    recipe: Proxy,
    vocab_size: int,
    progress: Progress,
) -> TrainedProxy:
    """Train a proxy on `mixture`, {leaf: weight} without zeros.

    Raises:
        TrainingError: a leaf has no sequence to give, or the loss is no number.
    """
    leaves = sorted(mixture)
    streams = [LeafStream(corpora[leaf], leaf) for leaf in leaves]
    length = recipe.sequence_length
    for leaf, stream in zip(leaves, streams, strict=True):
        if stream.tokens_per_epoch <= length:
            raise TrainingError(
                f"domain {leaf[:12]}: found {stream.tokens_per_epoch} tokens to train on; expected more than"
                f" one sequence of {length}"
            )
    steps = recipe.steps
    weights = np.array([mixture[leaf] for leaf in leaves])
    owners = schedule(weights, steps * recipe.batch_size, leaves, recipe.seed)
    taken = np.zeros(len(leaves), np.int64)

    device = best_device()
    model = Transformer(recipe, vocab_size).to(device)
    optimiser, rates = _optimiser(model, recipe), learning_rates(recipe, steps)
    precision = torch.bfloat16 if recipe.precision == "bfloat16" else torch.float32
    losses: list[tuple[int, float]] = []
    since_point = torch.zeros((), device=device)
    every = max(1, steps // LOSS_POINTS)
    started = reported = time.monotonic()
    for step in range(steps):
        rows = []
        for owner in owners[step * recipe.batch_size : (step + 1) * recipe.batch_size]:
            rows.append(streams[owner].read(int(taken[owner]) * length, length + 1))
            taken[owner] += 1
        batch = torch.from_numpy(np.stack(rows)).to(device)
        for group in optimiser.param_groups:
            group["lr"] = float(rates[step])
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            loss = next_token_loss(model(batch[:, :-1]), batch[:, 1:])
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        since_point += loss.detach()
        if (step + 1) % every == 0 or step + 1 == steps:
            mean = float(since_point) / (step - (losses[-1][0] if losses else -1))
            if not np.isfinite(mean):
                raise TrainingError(
                    f"the loss is {mean} at step {step + 1} of {steps}: training diverged; expected a smaller"
                    " proxy.learning_rate"
                )
            losses.append((step, mean))
            since_point.zero_()
        now = time.monotonic()
        if now - reported > REPORT_SECONDS:
            done = (step + 1) * recipe.batch_size * length
            reported = now
            progress({"done": (step + 1) / steps, "tokens_per_second": done / (now - started)})
    per_epoch = np.array([stream.tokens_per_epoch for stream in streams])
    return TrainedProxy(
        model=model,
        tokens={leaf: int(n) * length for leaf, n in zip(leaves, taken, strict=True)},
        epochs={leaf: float(e) for leaf, e in zip(leaves, taken * length / per_epoch, strict=True)},
        losses=losses,
        seconds=time.monotonic() - started,
        parameters=sum(p.numel() for p in model.parameters()),
        device=device.type,
    )


def next_token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy in nats per token; logits [B, L, V], targets [B, L]."""
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())


def learning_rates(recipe: Proxy, steps: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """[steps] linear warm-up to the peak, then linear decay to `final_learning_rate` of it."""
    warmup = max(1, round(recipe.warmup * steps))
    step = np.arange(steps)
    up = (step + 1) / warmup
    down = 1 - (1 - recipe.final_learning_rate) * (step - warmup + 1) / max(1, steps - warmup)
    return recipe.learning_rate * np.minimum(up, down)


def _optimiser(model: Transformer, recipe: Proxy) -> torch.optim.AdamW:
    matrices = [p for p in model.parameters() if p.ndim == 2]
    gains = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": gains, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.95), fused=True)
