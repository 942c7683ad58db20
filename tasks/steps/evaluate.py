"""Step `evaluate`: one per proxy and task. Key: the proxy's key and the task's content."""

import time
from typing import Any

from olmix_core.data.tasks import TaskSource
from olmix_core.errors import EvaluationError
from olmix_core.proxies.results import CommandRun, load_run
from olmix_core.storage.store import Store
from olmix_core.workers.jobs import EvaluateJob, ProxyReference
from olmix_core.workers.pool import worker_pool
from tasks.runtime.step import Payload, Result, step


@step("evaluate", code_version=1)
def evaluate(
    payload: Payload,
    store: str,
    *,
    label: str,
    recipe: dict[str, Any],
    tokenizer: str,
    corpora: list[str],
    task: dict[str, Any],
    timeout_hours: float,
) -> Result:
    """BPB of a proxy on a task: what `task` (a `TaskSource`) says, or the held-out text of `corpora`."""
    started = time.monotonic()
    source = TaskSource.from_json(task)
    if source.metric is not None:
        return {"bpb": _metric(Store(store), payload["proxy"], source.metric), "seconds": 0.0}
    proxy = ProxyReference(store, payload["proxy"], recipe, tokenizer)
    score = worker_pool.run(EvaluateJob(proxy, label, source, tuple(corpora)), hours=timeout_hours)
    return {**score.to_json(), "seconds": time.monotonic() - started}


def _metric(store: Store, proxy: str, name: str) -> float:
    """The BPB that the command of a proxy measured."""
    run = load_run(store, proxy)
    metrics = run.metrics if isinstance(run, CommandRun) else {}
    if name not in metrics:
        raise EvaluationError(
            f"proxy {proxy[:12]}: its trainer measured no {name!r}; expected one of: {', '.join(sorted(metrics))}"
        )
    return metrics[name]
