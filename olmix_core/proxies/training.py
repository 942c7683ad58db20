"""Train one proxy: a small language model on one mixture. The loop is `train`, to be read from top to bottom.

AdamW with warm-up and linear decay. On one machine the same mixture, recipe and corpus give the same weights, bit for
bit, killed in between or not: one thread, initial weights that depend on the seed alone, batches that depend on their
number alone, and checkpoints of all the rest.

What is fast was measured, on a CPU: the output layer fused with the loss (`loss`), attention written out for short
sequences in bfloat16 (`model`), the fused optimiser. A GPU runs behind the loop, which reads the next batch meanwhile.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.data.corpus import Corpus
from olmix_core.errors import DivergenceError, TrainingError
from olmix_core.proxies.checkpoints import Checkpoints
from olmix_core.proxies.compilation import compile_training, pays
from olmix_core.proxies.cross_entropy import Part, in_place, linear_cross_entropy
from olmix_core.proxies.model import Transformer, causal
from olmix_core.proxies.sequences import Sequences

Progress = Callable[[dict[str, float]], None]

REPORT_SECONDS = 0.5
LOSS_POINTS = 64  # of the loss curve that is kept
REASON = 300  # characters of why something could not be compiled

# A loss beyond this multiple of that of guessing has exploded: it starts near 1, and learning brings it down.
EXPLODED = 1.5

# Tokens that go through the model at once, on a CPU; a GPU tries whole batches and halves them when its memory is full.
CPU_TOKENS = 8192


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
    resumed: int  # how many times it went on from a checkpoint
    compiled: bool | str  # why not, where it would have paid


def best_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(
    mixture: Mapping[str, float],
    corpora: Mapping[str, Corpus],
    recipe: ProxyRecipe,
    vocab_size: int,
    progress: Progress,
    *,
    attempt: int = 0,
    checkpoints: Checkpoints | None = None,
) -> TrainedProxy:
    """Train a proxy on `mixture`, {leaf: weight} without zeros, from its last checkpoint on if there is one.

    `attempt` other than 0 takes another order of the same data.

    Raises:
        DivergenceError: the loss is no number, or has exploded.
        TrainingError: a leaf has no sequence to give, or the device has too little memory for one.
    """
    data, steps = Sequences(mixture, corpora, recipe, attempt), recipe.steps
    device = best_device()
    model = Transformer(recipe, vocab_size).to(device)
    optimiser, rates = optimiser_of(model, recipe), learning_rates(recipe, steps)
    gradient = Gradient(model, recipe, device, compile=pays(recipe, vocab_size, device))

    first, losses, before, resumed = 0, list[tuple[int, float]](), 0.0, 0
    since_point = torch.zeros((), device=device)
    if checkpoints is not None and (state := checkpoints.load(model, optimiser)) is not None:
        first, before, resumed = state["step"], state["seconds"], state["resumed"] + 1
        losses = [(step, loss) for step, loss in state["losses"]]
        since_point.fill_(state["since_point"])

    every = max(1, steps // LOSS_POINTS)
    started = reported = time.monotonic()
    for step in range(first, steps):
        for group in optimiser.param_groups:
            group["lr"] = float(rates[step])
        since_point += gradient(data.batch(step), data.passages(step) if recipe.document_mask else None)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

        now = time.monotonic()
        if (step + 1) % every == 0 or step + 1 == steps:
            mean = float(since_point) / (step - (losses[-1][0] if losses else -1))
            _check(mean, step, steps, vocab_size)
            losses.append((step, mean))
            since_point.zero_()
        if now - reported > REPORT_SECONDS:
            done = (step + 1 - first) * recipe.batch_size * recipe.sequence_length
            reported = now
            progress({"done": (step + 1) / steps, "tokens_per_second": done / (now - started)})
        if checkpoints is not None and checkpoints.is_due and step + 1 < steps:
            state = {"step": step + 1, "losses": losses, "since_point": float(since_point)}
            checkpoints.save(
                model, optimiser, {**state, "seconds": before + time.monotonic() - started, "resumed": resumed}
            )
    return TrainedProxy(
        model=model,
        tokens=data.tokens,
        epochs=data.epochs,
        losses=losses,
        seconds=before + time.monotonic() - started,
        parameters=sum(p.numel() for p in model.parameters()),
        device=device.type,
        resumed=resumed,
        compiled=gradient.compiled,
    )


class Gradient:
    """The mean loss of a batch and its gradient, taken a few sequences at a time where memory needs it."""

    def __init__(self, model: Transformer, recipe: ProxyRecipe, device: torch.device, *, compile: bool) -> None:
        self._model, self._device = model, device
        self._precision = torch.bfloat16 if recipe.precision == "bfloat16" else torch.float32
        few = max(1, CPU_TOKENS // recipe.sequence_length)
        self._rows = recipe.batch_size if device.type == "cuda" else min(recipe.batch_size, few)
        self.compiled: bool | str = compile
        self._hidden: Callable[..., Tensor] = model.hidden
        self._part: Part = in_place
        if compile:
            self._hidden, self._part = compile_training(model, recipe)

    def __call__(self, batch: np.ndarray[Any, Any], passages: np.ndarray[Any, Any] | None) -> Tensor:
        """The loss, in nats per token; leaves its gradient in the parameters. batch [B, L + 1], passages [B, L]."""
        while True:
            try:
                return self._accumulate(batch, passages)
            except torch.OutOfMemoryError as error:
                if self._rows == 1:
                    raise TrainingError(
                        "the device has too little memory for one sequence; expected a smaller"
                        " proxy.sequence_length or model, or fewer proxies at once (--workers)"
                    ) from error
                memory = True
            except Exception as error:
                # No C++ compiler, no place to write to, a device that it does not know: the machine's fault.
                if self.compiled is not True:
                    raise
                self.compiled = f"not compiled: {type(error).__name__}: {' '.join(str(error).split())[:REASON]}"
                memory = False
            # Out of the except clause, which would keep the tensors of the failed pass alive.
            self._model.zero_grad(set_to_none=True)
            if memory:
                self._rows //= 2
                torch.cuda.empty_cache()
            else:
                self._hidden, self._part = self._model.hidden, in_place

    def _accumulate(self, batch: np.ndarray[Any, Any], passages: np.ndarray[Any, Any] | None) -> Tensor:
        ids = torch.from_numpy(batch).to(self._device, non_blocking=True)
        total = torch.zeros((), device=self._device)
        for start in range(0, len(batch), self._rows):
            part = slice(start, min(start + self._rows, len(batch)))
            mask = None if passages is None else _same_passage(torch.from_numpy(passages[part]).to(self._device))
            with torch.autocast(self._device.type, self._precision, enabled=self._precision != torch.float32):
                hidden = self._hidden(ids[part, :-1], mask)
            targets = ids[part, 1:].flatten()
            weight = self._model.embedding.weight
            loss = linear_cross_entropy(hidden.flatten(0, 1), weight, targets, self._precision, self._part)
            share = (part.stop - part.start) / len(batch)
            (loss if share == 1 else loss * share).backward()  # type: ignore[no-untyped-call]
            total += loss.detach() * share
        return total


def _same_passage(passages: Tensor) -> Tensor:
    """[B, 1, L, L] True where a position may look: before it, and in its own passage [B, L]."""
    same = passages[:, None, :, None] == passages[:, None, None, :]
    return same & causal(passages.shape[1], 0, passages.device)


def _check(loss: float, step: int, steps: int, vocab_size: int) -> None:
    guessing = math.log(vocab_size)
    if not loss < EXPLODED * guessing:  # nor if it is no number
        raise DivergenceError(
            f"the loss is {loss:.4g} at step {step + 1} of {steps}, where guessing gives {guessing:.4g}: training"
            " diverged; expected a smaller proxy.learning_rate"
        )


def learning_rates(recipe: ProxyRecipe, steps: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """[steps] linear warm-up to the peak, then linear decay to `final_learning_rate` of it."""
    warmup = max(1, round(recipe.warmup * steps))
    step = np.arange(steps)
    up = (step + 1) / warmup
    down = 1 - (1 - recipe.final_learning_rate) * (step - warmup + 1) / max(1, steps - warmup)
    return recipe.learning_rate * np.minimum(up, down)


def optimiser_of(model: Transformer, recipe: ProxyRecipe) -> torch.optim.AdamW:
    matrices = [p for p in model.parameters() if p.ndim == 2]
    gains = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": gains, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.95), fused=True)
