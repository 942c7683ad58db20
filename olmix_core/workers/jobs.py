"""Jobs of worker processes, as values that cross the boundary between processes as JSON. Does not import torch.

    TrainJob       train a proxy and save it        -> ProxyRun
    EvaluateJob    score a proxy on one task        -> Score
    ForecastJob    estimate how long scoring takes  -> EvaluationEstimate

`handlers` carries them out, `pool` runs them in processes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from olmix_core.data.tasks import TaskSource
from olmix_core.proxies.results import ProxyRun, Score
from olmix_core.serialization import OMIT_NONE, JsonMapping, JsonObject, JsonRecord, Scalar

ResultT = TypeVar("ResultT", bound=JsonRecord)


@dataclass(frozen=True)
class ProxyReference:
    """A proxy and where it is.

    Attributes:
        store: URL of the store.
        key: Key of the proxy.
        recipe: Identity of the recipe.
        tokenizer: Path of the tokenizer in the store.
    """

    store: str
    key: str
    recipe: Mapping[str, Scalar]
    tokenizer: str


@dataclass(frozen=True)
class Job(JsonRecord, Generic[ResultT]):
    """A job for one worker.

    Attributes:
        kind: Tag of the job in messages.
        result_type: Type of its result.
        proxy: The proxy.
    """

    kind: ClassVar[str]
    result_type: ClassVar[type[JsonRecord]]

    proxy: ProxyReference

    @property
    def after_timeout(self) -> str:
        """What to expect and to do when the job was stopped because its time was over; ends the error message."""
        return "before its job was done: raise execution.timeout_hours, and run again"

    def to_message(self) -> JsonObject:
        """Return the job as JSON, tagged by its kind.

        Returns:
            The job, as `read_job` reads it.
        """
        return {"kind": self.kind, **self.to_json()}


@dataclass(frozen=True)
class TrainJob(Job[ProxyRun]):
    """Train a proxy, from its last checkpoint on if there is one.

    Attributes:
        mixture: {leaf: weight}, without zeros.
        corpora: {leaf: folder of its tokens in the store}.
        attempt: Number of the attempt; another order of the same data for each.
        checkpoint_seconds: Seconds between checkpoints; the default of `Checkpoints` where None.
        exclusions: {leaf: name of the list of its passages that are not trained on}.
    """

    kind: ClassVar[str] = "train"
    result_type: ClassVar[type[JsonRecord]] = ProxyRun

    mixture: Mapping[str, float]
    corpora: Mapping[str, str]
    attempt: int = 0
    checkpoint_seconds: float | None = field(default=None, metadata=OMIT_NONE)
    exclusions: Mapping[str, str] = field(default_factory=dict)

    @property
    def after_timeout(self) -> str:
        """What to do when the proxy was not trained in time."""
        return (
            "with its last checkpoint kept; expected the proxy to be trained by then: raise execution.timeout_hours,"
            " or take a smaller recipe, and run again"
        )


@dataclass(frozen=True)
class EvaluateJob(Job[Score]):
    """Score a proxy on a task: a JSONL file, plain text, or the held-out text of leaves.

    Attributes:
        label: Name of the task in messages.
        source: Where the documents of the task are.
        corpora: Folders in the store of the leaves whose held-out text is scored, for a task without documents.
    """

    kind: ClassVar[str] = "evaluate"
    result_type: ClassVar[type[JsonRecord]] = Score

    label: str
    source: TaskSource
    corpora: tuple[str, ...] = ()

    @property
    def after_timeout(self) -> str:
        """What to do when the proxy was not measured in time."""
        return (
            f"before the proxy was measured; expected the scores of task {self.label!r} by then: raise"
            " execution.timeout_hours, or take a sample of the task's documents, and run again"
        )


@dataclass(frozen=True)
class EvaluationEstimate(JsonRecord):
    """Estimated duration of an evaluation, in seconds."""

    seconds: float


@dataclass(frozen=True)
class ForecastJob(Job[EvaluationEstimate]):
    """Estimate how long scoring a proxy on a JSONL file takes.

    Attributes:
        source: The file, and the sample of its documents.
    """

    kind: ClassVar[str] = "forecast"
    result_type: ClassVar[type[JsonRecord]] = EvaluationEstimate

    source: TaskSource


_KINDS: Mapping[str, type[Job[Any]]] = {job.kind: job for job in (TrainJob, EvaluateJob, ForecastJob)}


def read_job(message: JsonMapping) -> Job[Any]:
    """Read a job.

    Args:
        message: As `Job.to_message` writes it.

    Returns:
        The job.

    Raises:
        ValueError: If the kind is unknown, or a field is missing or of another type.
    """
    kind = message["kind"]
    if kind not in _KINDS:
        raise ValueError(f"found a job of kind {kind!r}; expected one of {', '.join(_KINDS)}")
    return _KINDS[kind].from_json(message)
