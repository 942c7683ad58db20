"""Which proxies are measured on which tasks: those of this swarm on all, those of earlier versions on what is new."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from flows.pipeline.context import RunContext
from olmix_core.data.tasks import EvaluationTask
from olmix_core.evidence.atoms import may_have_trained_on
from olmix_core.evidence.rows import EvidenceRow
from olmix_core.proxies.results import load_run
from olmix_core.storage.layout import tokenizer_path
from tasks.runtime.step import Call
from tasks.steps.evaluate import EvaluatePayload, EvaluateResult, ProxyModel, TaskDocuments, evaluate

Pair = tuple[EvidenceRow, EvaluationTask]


@dataclass(frozen=True)
class SwarmMeasurements:
    """The measurements of a round.

    Attributes:
        rows: The measurements as evidence.
        seconds: Mean time per proxy and task; None where nothing was measured.
        standard_errors: {sampled task: standard error of its BPB}, mean over proxies.
    """

    rows: tuple[EvidenceRow, ...]
    seconds: float | None
    standard_errors: Mapping[str, float]


def measure(
    context: RunContext,
    own: Sequence[EvidenceRow],
    earlier: Sequence[EvidenceRow],
    corpora: Mapping[str, str],
    source: str,
) -> SwarmMeasurements:
    """Evaluate the proxies of this swarm on all tasks, and those of earlier versions on tasks that their rows lack.

    Args:
        context: The run.
        own: Proxies of this swarm.
        earlier: Proxies of earlier versions.
        corpora: {leaf: folder of its tokens}.
        source: Who records the measurements.

    Returns:
        The measurements.

    Raises:
        EvaluationError: A proxy could not be measured.
    """
    tasks, origins = context.inputs.tasks, context.state.base.origins
    lacking = [
        row
        for row in earlier
        # A proxy trained elsewhere is known by its row only.
        if any(task.fingerprint not in row.bpb for task in tasks) and load_run(context.store, row.proxy) is not None
    ]
    text = context.state.task_text
    # A BPB on text that the proxy was trained on would be no evidence.
    lacking_pairs = [
        (row, task)
        for row, task in _pairs(lacking, tasks, origins)
        if not text.may_spoil(row.proxy, row.mixture, task.fingerprint, origins)
    ]
    pairs = [*_pairs(own, tasks, origins), *lacking_pairs]
    calls = [_call(context, row, task, corpora) for row, task in pairs]
    results = context.executor.run_all(evaluate, calls)
    seconds = sum(result.seconds for result in results) / len(results) if results else None
    return SwarmMeasurements(
        tuple(_rows([*own, *lacking], pairs, results, source)), seconds, _mean_standard_errors(pairs, results)
    )


def _pairs(
    rows: Sequence[EvidenceRow], tasks: Sequence[EvaluationTask], origins: Mapping[str, Sequence[str]]
) -> list[Pair]:
    """Proxies and tasks that they were not measured on, without held-out text that they may have trained on."""
    return [
        (row, task)
        for row in rows
        for task in tasks
        if task.fingerprint not in row.bpb
        and not any(may_have_trained_on(leaf, row.mixture, origins) for leaf in task.leaves)
    ]


def _call(
    context: RunContext, row: EvidenceRow, task: EvaluationTask, corpora: Mapping[str, str]
) -> Call[EvaluatePayload]:
    where = {
        "label": f"{row.proxy[:6]} {task.label}",
        "model": ProxyModel(row.recipe, tokenizer_path(row.tokenizer)).to_json(),
        "task": TaskDocuments(task.source, [corpora[leaf] for leaf in task.leaves]).to_json(),
        "timeout_hours": context.config.execution.timeout_hours,
    }
    return Call(EvaluatePayload(row.proxy, task.fingerprint), where)


def _rows(
    proxies: Sequence[EvidenceRow], pairs: Sequence[Pair], results: Sequence[EvaluateResult], source: str
) -> list[EvidenceRow]:
    """The rows of the proxies that were measured, with their BPB."""
    bpb: dict[str, dict[EvaluationTask, float]] = {}
    for (row, task), result in zip(pairs, results, strict=True):
        bpb.setdefault(row.proxy, {})[task] = result.bpb
    return [
        replace(
            row,
            bpb={task.fingerprint: value for task, value in bpb[row.proxy].items()},
            evaluation=evaluate.code_version,
            source=source,
            labels={**row.labels, **{task.fingerprint: task.label for task in bpb[row.proxy]}},
            recorded=datetime.now(UTC),
        )
        for row in proxies
        if row.proxy in bpb
    ]


def _mean_standard_errors(pairs: Sequence[Pair], results: Sequence[EvaluateResult]) -> dict[str, float]:
    errors: dict[str, list[float]] = {}
    for (_, task), result in zip(pairs, results, strict=True):
        if result.standard_error is not None:
            errors.setdefault(task.fingerprint, []).append(result.standard_error)
    return {task: sum(values) / len(values) for task, values in errors.items()}
