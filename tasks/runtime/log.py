"""The log of steps: every line names its mix and run, and its leaf, proxy or result."""

import json
import logging
from typing import Any

from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from olmix_core.serialization import JsonMapping


class StepLog(logging.LoggerAdapter[Any]):
    """Puts name=value words before each line, which a log can be searched for."""

    def process(self, msg: str, kwargs: Any) -> tuple[str, Any]:
        """Put the words before a line.

        Args:
            msg: The line.
            kwargs: Further arguments of the log call.

        Returns:
            The line with its words, and `kwargs` as they are.
        """
        words = [f"{name}={_quoted(str(value))}" for name, value in (self.extra or {}).items()]
        return f"{' '.join(words)}: {msg}", kwargs


def _quoted(value: str) -> str:
    return json.dumps(value) if " " in value else value


def step_log(step: str, key: str, payload: JsonMapping, where: JsonMapping) -> StepLog:
    """Return the log of one result, within its task run.

    Args:
        step: Name of the step.
        key: Key of the result.
        payload: Payload of the result, as JSON.
        where: Where things are; its label is one of the words.

    Returns:
        The log.
    """
    words: dict[str, str] = {"mix": flow_run.name, "run": str(flow_run.id)[:8], "step": step}
    if where.get("label"):
        words["label"] = where["label"]
    if isinstance(payload.get("proxy"), str):
        words["proxy"] = payload["proxy"][:12]
    return StepLog(get_run_logger(), {**words, "key": key[:12]})
