"""Which proxies are measured on which tasks: those of this swarm on all, those of earlier versions on what is new."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from flows.execution.executor import Executor
from olmix_core.data.tasks import EvaluationTask
from olmix_core.evidence.atoms import may_have_trained_on
from olmix_core.evidence.rows import EvidenceRow
from olmix_core.proxies.results import load_run
from olmix_core.storage.layout import tokenizer_path
from olmix_core.storage.store import Store
from tasks.steps.evaluate import evaluate


@dataclass(frozen=True)
class Measured:
    """rows: what was measured, as evidence. seconds: mean per proxy and task, None where nothing was measured.

    standard_errors: {fingerprint: that of the BPB, mean over proxies} of tasks that are sampled.
    """

    rows: tuple[EvidenceRow, ...]
    seconds: float | None
    standard_errors: Mapping[str, float]


def measure(
    own: Sequence[EvidenceRow],
    earlier: Sequence[EvidenceRow],
    tasks: Sequence[EvaluationTask],
    origins: Mapping[str, Sequence[str]],
    corpora: Mapping[str, str],
    source: str,
    run: Executor,
    timeout_hours: float,
) -> Measured:
    """Evaluate the proxies of `own` on all tasks, and those of `earlier` on tasks that their rows lack.

    origins: {leaf: leaves that its content comes from}. corpora: where the tokens of each leaf lie. source: who
    records it. timeout_hours: for one proxy on one task.
    """
    store = Store(run.store)
    lacking = [
        row
        for row in earlier
        # A proxy trained elsewhere is known by its row only.
        if any(task.fingerprint not in row.bpb for task in tasks) and load_run(store, row.proxy) is not None
    ]
    pairs = [
        (row, task)
        for row in (*own, *lacking)
        for task in tasks
        if task.fingerprint not in row.bpb
        # A BPB on text that the proxy was trained on would be no evidence.
        and not any(may_have_trained_on(leaf, row.mixture, origins) for leaf in task.leaves)
    ]
    results = run.run_all(
        evaluate,
        [
            (
                {"proxy": row.proxy, "task": task.fingerprint},
                {
                    "label": f"{row.proxy[:6]} {task.label}",
                    "recipe": dict(row.recipe),
                    "tokenizer": tokenizer_path(row.tokenizer),
                    "corpora": [corpora[leaf] for leaf in task.leaves],
                    "task": task.source.to_json(),
                    "timeout_hours": timeout_hours,
                },
            )
            for row, task in pairs
        ],
    )
    errors: dict[str, list[float]] = {}
    for (_, task), result in zip(pairs, results, strict=True):
        if "standard_error" in result:
            errors.setdefault(task.fingerprint, []).append(result["standard_error"])
    bpb: dict[str, dict[EvaluationTask, float]] = {}
    for (row, task), result in zip(pairs, results, strict=True):
        bpb.setdefault(row.proxy, {})[task] = result["bpb"]
    rows = tuple(
        replace(
            row,
            bpb={task.fingerprint: value for task, value in bpb[row.proxy].items()},
            evaluation=evaluate.code_version,
            source=source,
            labels={**row.labels, **{task.fingerprint: task.label for task in bpb[row.proxy]}},
            recorded=datetime.now(UTC),
        )
        for row in (*own, *lacking)
        if row.proxy in bpb
    )
    seconds = sum(result["seconds"] for result in results) / len(results) if results else None
    return Measured(rows, seconds, {task: sum(found) / len(found) for task, found in errors.items()})
