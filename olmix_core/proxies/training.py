"""Train one proxy, a small language model on one mixture. `train` is the loop, to be read from top to bottom.

AdamW with warm-up and linear decay. On one machine the same mixture, recipe and corpus give the same weights, bit for
bit, killed in between or not: one thread, initial weights that depend on the seed alone, batches that depend on their
number alone, and checkpoints of the rest.

Measured to be fast on a CPU: the output layer fused with the loss (`cross_entropy`), attention written out for short
sequences in bfloat16 (`model`), the fused optimiser. A GPU runs asynchronously while the loop reads the next batch.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.errors import DivergenceError, TrainingError
from olmix_core.proxies.checkpoints import Checkpoints, LoopState
from olmix_core.proxies.compilation import compile_training, compiling_pays
from olmix_core.proxies.cross_entropy import ChunkLoss, chunk_in_place, linear_cross_entropy
from olmix_core.proxies.model import Transformer, causal_mask
from olmix_core.proxies.results import Progress, Training, TrainingProgress
from olmix_core.proxies.sequences import Sequences

REPORT_SECONDS = 0.5
LOSS_POINTS = 64  # of the loss curve that is kept
REASON = 300  # characters of the reason why something could not be compiled

# Training has diverged when its loss exceeds, by this factor, the larger of that of uniform guessing and that at the
# beginning: the output layer is that of the embeddings, so that the first prediction is the token just read, with a
# logit of sqrt(width).
EXPLODED = 1.5

# Tokens in one pass through the model on a CPU. A GPU tries whole batches, and halves them when its memory is full.
CPU_TOKENS = 8192


@dataclass(frozen=True)
class TrainedProxy:
    """A trained proxy.

    Attributes:
        model: The model.
        training: How its training went.
    """

    model: Transformer
    training: Training


def best_device() -> torch.device:
    """Choose the device to train on.

    Returns:
        The GPU where there is one, else the CPU.
    """
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(
    sequences: Sequences,
    recipe: ProxyRecipe,
    vocab_size: int,
    progress: Progress = lambda _state: None,
    checkpoints: Checkpoints | None = None,
) -> TrainedProxy:
    """Train a proxy, from its last checkpoint on if there is one.

    Args:
        sequences: The training data, made with the same recipe.
        recipe: The recipe.
        vocab_size: Size of the tokenizer's vocabulary.
        progress: Called twice a second.
        checkpoints: The checkpoint of the proxy; without it nothing is saved.

    Returns:
        The proxy and the facts of its training.

    Raises:
        TrainingError: If training diverges, or the device has too little memory for one sequence.
    """
    device = best_device()
    model = Transformer(recipe, vocab_size).to(device)
    optimiser, rates = make_optimiser(model, recipe), learning_rates(recipe, recipe.steps)
    gradient = Gradient(model, recipe, device, compile=compiling_pays(recipe, vocab_size, device))

    saved = None if checkpoints is None else checkpoints.load(model, optimiser)
    state, resumed = (saved, saved.resumed + 1) if saved else (LoopState(), 0)
    curve = _LossCurve(state, recipe.steps, max(math.log(vocab_size), math.sqrt(recipe.width)), device)

    started = reported = time.monotonic()
    for step in range(state.step, recipe.steps):
        for group in optimiser.param_groups:
            group["lr"] = float(rates[step])
        curve.add(gradient(sequences.batch(step), sequences.passages(step) if recipe.document_mask else None))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

        now = time.monotonic()
        curve.end_step(step)
        if now - reported > REPORT_SECONDS:
            tokens = (step + 1 - state.step) * recipe.batch_size * recipe.sequence_length
            reported = now
            progress(TrainingProgress((step + 1) / recipe.steps, tokens / (now - started)))
        if checkpoints is not None and checkpoints.is_due and step + 1 < recipe.steps:
            seconds = state.seconds + time.monotonic() - started
            checkpoints.save(model, optimiser, curve.state(step + 1, seconds, resumed))
    training = Training(
        tokens=sequences.tokens,
        epochs=sequences.epochs,
        losses=tuple(curve.points),
        seconds=state.seconds + time.monotonic() - started,
        parameters=sum(p.numel() for p in model.parameters()),
        device=device.type,
        resumed=resumed,
        compiled=gradient.compiled,
    )
    return TrainedProxy(model, training)


class _LossCurve:
    """The mean loss at `LOSS_POINTS` points of the training; raises where it has exploded."""

    def __init__(self, state: LoopState, steps: int, beginning: float, device: torch.device) -> None:
        self.points = list(state.losses)
        self._since_point = torch.full((), state.since_point, device=device)
        self._steps, self._every = steps, max(1, steps // LOSS_POINTS)
        self._beginning = beginning

    def add(self, loss: Tensor) -> None:
        self._since_point += loss

    def end_step(self, step: int) -> None:
        """Add a point where one is due. Raises DivergenceError."""
        if (step + 1) % self._every and step + 1 < self._steps:
            return
        mean = float(self._since_point) / (step - (self.points[-1][0] if self.points else -1))
        if not mean < EXPLODED * self._beginning:  # or it is no number
            raise DivergenceError(
                f"the loss is {mean:.4g} at step {step + 1} of {self._steps}, where training begins"
                f" at about {self._beginning:.4g}: training diverged; expected a smaller proxy.learning_rate"
            )
        self.points.append((step, mean))
        self._since_point.zero_()

    def state(self, step: int, seconds: float, resumed: int) -> LoopState:
        return LoopState(step, tuple(self.points), float(self._since_point), seconds, resumed)


class Gradient:
    """The mean loss of a batch and its gradient, computed a few sequences at a time where memory needs it.

    Attributes:
        compiled: Whether model and loss are compiled, or why not where they should be.
    """

    def __init__(self, model: Transformer, recipe: ProxyRecipe, device: torch.device, *, compile: bool) -> None:
        """Prepare the computation.

        Args:
            model: The model, on `device`.
            recipe: Its recipe.
            device: The device.
            compile: Whether to compile model and loss.
        """
        self._model, self._device = model, device
        self._precision = torch.bfloat16 if recipe.precision == "bfloat16" else torch.float32
        few = max(1, CPU_TOKENS // recipe.sequence_length)
        self._rows = recipe.batch_size if device.type == "cuda" else min(recipe.batch_size, few)
        self.compiled: bool | str = compile
        self._hidden: Callable[..., Tensor] = model.hidden
        self._chunk_loss: ChunkLoss = chunk_in_place
        if compile:
            self._hidden, self._chunk_loss = compile_training(model, recipe)

    def __call__(self, batch: np.ndarray[Any, Any], passages: np.ndarray[Any, Any] | None) -> Tensor:
        """Compute the loss and add its gradient to the parameters.

        Args:
            batch: Token ids [B, L + 1].
            passages: Passage [B, L] of each input token; attention stays within passages. None: one passage.

        Returns:
            The mean loss, in nats per token.

        Raises:
            TrainingError: If the device has too little memory for one sequence.
        """
        while True:
            try:
                return self._accumulate(batch, passages)
            except torch.OutOfMemoryError as error:
                if self._rows == 1:
                    raise TrainingError(
                        "the device has too little memory for one sequence; expected a smaller"
                        " proxy.sequence_length or model, or fewer proxies at once (--workers)"
                    ) from error
                out_of_memory = True
            except Exception as error:
                # No C++ compiler, no place to write to, an unknown device: compiling fails on some machines.
                if self.compiled is not True:
                    raise
                self.compiled = f"not compiled: {type(error).__name__}: {' '.join(str(error).split())[:REASON]}"
                out_of_memory = False
            # Outside the except clause, which would keep the tensors of the failed pass alive.
            self._model.zero_grad(set_to_none=True)
            if out_of_memory:
                self._rows //= 2
                torch.cuda.empty_cache()
            else:
                self._hidden, self._chunk_loss = self._model.hidden, chunk_in_place

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
            loss = linear_cross_entropy(hidden.flatten(0, 1), weight, targets, self._precision, self._chunk_loss)
            share = (part.stop - part.start) / len(batch)
            (loss if share == 1 else loss * share).backward()  # type: ignore[no-untyped-call]
            total += loss.detach() * share
        return total


def _same_passage(passages: Tensor) -> Tensor:
    """Attention mask [B, 1, L, L]: True at earlier positions of the same passage [B, L]."""
    same = passages[:, None, :, None] == passages[:, None, None, :]
    return same & causal_mask(passages.shape[1], 0, passages.device)


def learning_rates(recipe: ProxyRecipe, steps: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Compute the schedule: linear warm-up to the peak, then linear decay to `final_learning_rate` of it.

    Args:
        recipe: The recipe.
        steps: Number of steps.

    Returns:
        Learning rate [steps] of each step.
    """
    warmup = max(1, round(recipe.warmup * steps))
    step = np.arange(steps)
    up = (step + 1) / warmup
    down = 1 - (1 - recipe.final_learning_rate) * (step - warmup + 1) / max(1, steps - warmup)
    return recipe.learning_rate * np.minimum(up, down)


def make_optimiser(model: Transformer, recipe: ProxyRecipe) -> torch.optim.AdamW:
    """Create the optimiser. Weight decay applies to matrices only.

    Args:
        model: The model.
        recipe: Its recipe.

    Returns:
        AdamW over the parameters of the model.
    """
    matrices = [p for p in model.parameters() if p.ndim == 2]
    gains = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": gains, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.95), fused=True)
