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
    file: str | None,
    corpora: list[str],
) -> Result:
    """BPB of a proxy on a task: a JSONL `file`, or the held-out text of `corpora`."""
    started = time.monotonic()
    measured = workers.run(
        {
            "do": "evaluate",
            "store": store,
            "key": payload["proxy"],
            "recipe": recipe,
            "tokenizer": tokenizer,
            "file": file,
            "corpora": corpora,
            "label": label,
        }
    )
    return {**measured, "seconds": time.monotonic() - started}
