"""Step `evaluate`: one per proxy and task. Key: the proxy's key and the task's content."""

import time
from typing import Any

from olmix_core.workers import workers
from tasks.step import Payload, Result, step


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
) -> Result:
    """BPB of a proxy on a task: what `task` (`EvaluationTask.where`) says, or the held-out text of `corpora`."""
    started = time.monotonic()
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
        }
    )
    return {**measured, "seconds": time.monotonic() - started}
