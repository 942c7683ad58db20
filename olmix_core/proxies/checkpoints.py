"""Checkpoints: a proxy that was killed goes on from its last one, and ends as if nothing had happened.

A checkpoint is everything that the next step depends on and that cannot be computed again: weights, the optimiser's
moments, and the state of the loop. It is one file, replaced as a whole each time, and removed when the proxy is
trained.
"""

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from olmix_core.errors import DamageError
from olmix_core.serialization import JsonRecord
from olmix_core.storage.integrity import load_tensors, save_tensors
from olmix_core.storage.store import Store

# Seconds between checkpoints, and the largest share of the time that they may take.
SECONDS = 30.0
SHARE = 0.02


@dataclass(frozen=True)
class LoopState(JsonRecord):
    """State of a training loop between two steps.

    Attributes:
        step: Number of steps done.
        losses: Points (step, mean loss in nats per token since the last point).
        since_point: Sum of the losses since the last point.
        seconds: Duration so far.
        resumed: How often training went on from a checkpoint.
    """

    step: int = 0
    losses: tuple[tuple[int, float], ...] = ()
    since_point: float = 0.0
    seconds: float = 0.0
    resumed: int = 0


class Checkpoints:
    """The checkpoint of one proxy."""

    def __init__(self, store: Store, path: str, seconds: float = SECONDS) -> None:
        """Open the checkpoint; nothing is read.

        Args:
            store: The store.
            path: Path of the file in the store.
            seconds: Seconds between checkpoints; more where they would take more than `SHARE` of the time.
        """
        self._store, self._path, self._seconds = store, path, seconds
        self._next = time.monotonic() + seconds

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        return time.monotonic() >= self._next

    def save(self, model: nn.Module, optimiser: torch.optim.Optimizer, state: LoopState) -> None:
        """Replace the checkpoint.

        Args:
            model: The model.
            optimiser: Its optimiser.
            state: State of the loop.

        Raises:
            StoreError: If the store cannot be written.
        """
        started = time.monotonic()
        tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
        for number, moments in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": tensor for name, tensor in moments.items()}
        tensors["state"] = torch.frombuffer(bytearray(json.dumps(state.to_json()).encode()), dtype=torch.uint8)
        with self._store.new_file(self._path) as path:
            save_tensors({name: tensor.detach().cpu().contiguous().numpy() for name, tensor in tensors.items()}, path)
        now = time.monotonic()
        self._next = now + max(self._seconds, (now - started) / SHARE)

    def load(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> LoopState | None:
        """Restore model and optimiser from the checkpoint.

        Args:
            model: The model, changed in place.
            optimiser: Its optimiser, changed in place.

        Returns:
            State of the loop; None where there is no checkpoint that can be read.
        """
        try:
            content = self._store.read_bytes(self._path)
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / "checkpoint"
                copy.write_bytes(content)
                arrays = load_tensors(copy, self._store.place(self._path))
        except (FileNotFoundError, DamageError):
            return None
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        state = LoopState.from_json(json.loads(bytes(tensors.pop("state").tolist())))
        weights, moments = {}, dict[int, dict[str, Tensor]]()
        for name, tensor in tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "model":
                weights[rest] = tensor
            else:
                number, _, field = rest.partition(".")
                moments.setdefault(int(number), {})[field] = tensor
        model.load_state_dict(weights)
        optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
        return state

    def remove(self) -> None:
        """Remove the checkpoint."""
        self._store.remove(self._path)
