"""Results of training and scoring proxies, and the record of a trained proxy in the store. Does not import torch.

proxies/<key>/run.json     `ProxyRun`, or `CommandRun` of a proxy that `execution.command` trained; written last
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self, TypeAlias

from olmix_core.errors import DamageError
from olmix_core.serialization import INLINE, OMIT_NONE, JsonMapping, JsonRecord, Scalar
from olmix_core.storage.layout import proxy_run_path
from olmix_core.storage.store import Store


@dataclass(frozen=True)
class TrainingProgress(JsonRecord):
    """Progress of a training.

    Attributes:
        done: Share of the steps that is done.
        tokens_per_second: Tokens trained on per second, since training began or went on.
    """

    done: float
    tokens_per_second: float


Progress: TypeAlias = Callable[[TrainingProgress], None]


@dataclass(frozen=True)
class Score(JsonRecord):
    """Bits per byte of a proxy on a task.

    Attributes:
        bpb: Bits per byte.
        documents: Number of documents scored.
        standard_error: Standard error of `bpb` where the documents are a sample, in bits per byte.
    """

    bpb: float
    documents: int
    standard_error: float | None = field(default=None, metadata=OMIT_NONE)


@dataclass(frozen=True)
class Training(JsonRecord):
    """How a training went.

    Attributes:
        tokens: {leaf: tokens trained on}.
        epochs: {leaf: passes over its text}.
        losses: Points (step, mean training loss in nats per token since the last point).
        seconds: Duration of the training, interruptions left out.
        parameters: Number of parameters.
        device: Type of the device, as torch names it.
        resumed: How often training went on from a checkpoint.
        compiled: Whether the model was compiled, or why not where it should have been.
    """

    tokens: Mapping[str, int]
    epochs: Mapping[str, float]
    losses: tuple[tuple[int, float], ...]
    seconds: float
    parameters: int
    device: str
    resumed: int
    compiled: bool | str


@dataclass(frozen=True)
class ProxyRun(JsonRecord):
    """Record of a trained proxy.

    Attributes:
        key: Key of the proxy.
        mixture: {leaf: weight}, without zeros.
        recipe: Identity of the recipe.
        training: How the training went.
        torch: Version of torch.
    """

    key: str
    mixture: Mapping[str, float]
    recipe: Mapping[str, Scalar]
    training: Training = field(metadata=INLINE)
    torch: str

    @classmethod
    def from_json(cls, record: JsonMapping) -> Self:
        """Read a run, of an earlier version too.

        Args:
            record: Content of run.json.

        Returns:
            The run. Records of versions that neither resumed nor compiled lack both fields.

        Raises:
            ValueError: If a field is missing or of another type.
        """
        return super().from_json({"resumed": 0, "compiled": False, **record})


@dataclass(frozen=True)
class CommandRun(JsonRecord):
    """Record of a proxy that `execution.command` trained and measured.

    Attributes:
        key: Key of the proxy.
        mixture: {leaf: weight}, without zeros.
        recipe: Identity of the recipe.
        metrics: {name: bits per byte}.
        seconds: Duration of the command.
    """

    key: str
    mixture: Mapping[str, float]
    recipe: Mapping[str, Scalar]
    metrics: Mapping[str, float]
    seconds: float


def load_run(store: Store, key: str) -> ProxyRun | CommandRun | None:
    """Read run.json of a proxy.

    Args:
        store: The store.
        key: Key of the proxy.

    Returns:
        The run, or None where there is none, which means that the proxy is not complete, or it is damaged.
    """
    try:
        record = store.read_json(proxy_run_path(key))
        return CommandRun.from_json(record) if "metrics" in record else ProxyRun.from_json(record)
    except (FileNotFoundError, DamageError, ValueError):
        return None
