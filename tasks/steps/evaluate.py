"""Step `evaluate`: one per proxy and task. Key: the proxy's key and the task's content."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from olmix_core.data.tasks import TaskSource
from olmix_core.errors import EvaluationError
from olmix_core.proxies.results import CommandRun, load_run
from olmix_core.report.markdown import table
from olmix_core.serialization import OMIT_NONE, JsonMapping, JsonRecord, Scalar
from olmix_core.storage.store import Store
from olmix_core.workers.jobs import EvaluateJob, ProxyReference
from olmix_core.workers.pool import worker_pool
from tasks.runtime.artifacts import Artifacts, Done, Where
from tasks.runtime.payload import EVAL, Subject, cause, result_of
from tasks.runtime.step import step


@dataclass(frozen=True)
class EvaluatePayload(JsonRecord):
    """A proxy, by its key, and a task, by its fingerprint."""

    proxy: str = field(metadata=result_of("train"))
    task: str = field(metadata=cause(EVAL))


@dataclass(frozen=True)
class EvaluateResult(JsonRecord):
    """How good a proxy is at a task.

    Attributes:
        bpb: Bits per byte; lower is better.
        seconds: Time that it took.
        documents: Number of documents; None where another trainer measured.
        standard_error: Standard error of `bpb`, of a task that is sampled.
    """

    bpb: float
    documents: int | None = field(default=None, metadata=OMIT_NONE)
    standard_error: float | None = field(default=None, metadata=OMIT_NONE)
    seconds: float = field(kw_only=True)


@dataclass(frozen=True)
class ProxyModel(JsonRecord):
    """How a proxy is read: its recipe, and the path of its tokenizer in the store."""

    recipe: Mapping[str, Scalar]
    tokenizer: str


@dataclass(frozen=True)
class TaskDocuments(JsonRecord):
    """Where the documents of a task are.

    Attributes:
        source: The documents; empty for a task on held-out text.
        corpora: Folders of the leaves whose held-out text it is.
    """

    source: TaskSource
    corpora: Sequence[str]


def _uses_proxies(where: Where) -> bool:
    # A metric of another trainer is only read.
    return TaskDocuments.from_json(where["task"]).source.metric is None


def _describe(done: Sequence[Done[EvaluatePayload, EvaluateResult]], artifacts: Artifacts) -> list[str]:
    bpb_by_task: dict[str, list[float]] = {}
    for outcome in done:
        bpb_by_task.setdefault(artifacts.label(outcome.payload.task), []).append(outcome.result.bpb)
    return table(
        [
            {
                "task": task,
                "proxies": len(bpb),
                "best BPB": f"{min(bpb):.4f}",
                "mean": f"{np.mean(bpb):.4f}",
                "worst": f"{max(bpb):.4f}",
                "scatter": f"{np.std(bpb):.4f}",
            }
            for task, bpb in sorted(bpb_by_task.items())
        ]
    )


@step(
    "evaluate",
    1,
    title="measure every proxy on every task",
    after="train",
    payload=EvaluatePayload,
    result=EvaluateResult,
    artifact=_describe,
    uses_proxies=_uses_proxies,
    subject=Subject("task"),
)
def evaluate(
    payload: EvaluatePayload,
    store: Store,
    *,
    label: str,
    model: JsonMapping,
    task: JsonMapping,
    timeout_hours: float,
) -> EvaluateResult:
    """Measure the BPB of a proxy on a task.

    Args:
        payload: The proxy and the task.
        store: The store.
        label: Beginning of the proxy's key and label of the task, to show.
        model: How the proxy is read, a `ProxyModel`.
        task: Where the task is, a `TaskDocuments`.
        timeout_hours: Time that it may take.

    Returns:
        The BPB.

    Raises:
        EvaluationError: It is no number, or another trainer did not measure it.
    """
    started, documents = time.monotonic(), TaskDocuments.from_json(task)
    source, read_as = documents.source, ProxyModel.from_json(model)
    if source.metric is not None:
        return EvaluateResult(_measured_in_training(store, payload.proxy, source.metric), seconds=0.0)
    proxy = ProxyReference(store.url, payload.proxy, read_as.recipe, read_as.tokenizer)
    score = worker_pool.run(EvaluateJob(proxy, label, source, tuple(documents.corpora)), hours=timeout_hours)
    return EvaluateResult(score.bpb, score.documents, score.standard_error, seconds=time.monotonic() - started)


def _measured_in_training(store: Store, proxy: str, name: str) -> float:
    """The BPB that the command of a proxy measured."""
    run = load_run(store, proxy)
    metrics = run.metrics if isinstance(run, CommandRun) else {}
    if name not in metrics:
        raise EvaluationError(
            f"proxy {proxy[:12]}: its trainer measured no {name!r}; expected one of: {', '.join(sorted(metrics))}"
        )
    return metrics[name]
