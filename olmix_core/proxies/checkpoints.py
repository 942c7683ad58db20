"""Checkpoints: a proxy that was killed goes on from its last one, and ends as if nothing had happened.

A checkpoint is everything that the next step depends on and that cannot be computed again: weights, the optimiser's
moments, and where training is. One file, replaced whole each time, removed when the proxy is trained.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from olmix_core.errors import DamageError
from olmix_core.storage.integrity import load_tensors, save_tensors
from olmix_core.storage.store import Store

# Seconds between checkpoints, and the largest share of the time that they may take.
SECONDS = 30.0
SHARE = 0.02


class Checkpoints:
    """The checkpoint of one proxy, at `path` of the store."""

    def __init__(self, store: Store, path: str, seconds: float = SECONDS) -> None:
        self._store, self._path, self._seconds = store, path, seconds
        self._next = time.monotonic() + seconds

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._next

    def save(self, model: nn.Module, optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
        """Replace the checkpoint; `state` is plain JSON. Raises StoreError, OSError."""
        started = time.monotonic()
        tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
        for number, moments in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": tensor for name, tensor in moments.items()}
        tensors["state"] = torch.frombuffer(bytearray(json.dumps(state).encode()), dtype=torch.uint8)
        with self._store.new_file(self._path) as path:
            save_tensors({name: tensor.detach().cpu().contiguous().numpy() for name, tensor in tensors.items()}, path)
        now = time.monotonic()
        self._next = now + max(self._seconds, (now - started) / SHARE)

    def load(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any] | None:
        """Put the checkpoint into model and optimiser and return its state; None where there is none to be read."""
        try:
            content = self._store.read_bytes(self._path)
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / "checkpoint"
                copy.write_bytes(content)
                arrays = load_tensors(copy, self._store.place(self._path))
        except (FileNotFoundError, DamageError):
            return None
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        state: dict[str, Any] = json.loads(bytes(tensors.pop("state").tolist()))
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
        self._store.remove(self._path)
