"""Step `evaluate`: one per proxy and task. Key: the proxy's key and the task's content."""

import time
from typing import Any

from olmix_core.errors import EvaluationError
from olmix_core.storage.layout import proxy_run_path
from olmix_core.storage.store import Store
from olmix_core.workers.pool import workers
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
    """BPB of a proxy on a task: what `task` (`EvaluationTask.where`) says, or the held-out text of `corpora`."""
    started = time.monotonic()
    if task["metric"] is not None:
        metrics = Store(store).read_json(proxy_run_path(payload["proxy"]))["metrics"]
        if task["metric"] not in metrics:
            known = ", ".join(sorted(metrics))
            raise EvaluationError(
                f"proxy {payload['proxy'][:12]}: its trainer measured no {task['metric']!r}; expected one of: {known}"
            )
        return {"bpb": metrics[task["metric"]], "seconds": 0.0}
    measured = workers.run(
        {
            "do": "evaluate",
            "store": store,
            "key": payload["proxy"],
            "recipe": recipe,
            "tokenizer": tokenizer,
            "corpora": corpora,
            "label": label,
            **task,
        },
        hours=timeout_hours,
    )
    return {**measured, "seconds": time.monotonic() - started}
