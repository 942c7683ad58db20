"""The log of steps: every line says of which mix and run it is, and of which leaf, proxy or result."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from prefect.logging import get_run_logger
from prefect.runtime import flow_run


class StepLog(logging.LoggerAdapter[Any]):
    """Puts name=value words before each line, which a log can be searched for."""

    def process(self, msg: str, kwargs: Any) -> tuple[str, Any]:
        words = [f"{name}={_quoted(str(value))}" for name, value in (self.extra or {}).items()]
        return f"{' '.join(words)}: {msg}", kwargs


def _quoted(value: str) -> str:
    return json.dumps(value) if " " in value else value


def step_log(step: str, key: str, payload: Mapping[str, Any], where: Mapping[str, Any]) -> StepLog:
    """The log of one result of `step`, within its task run."""
    words: dict[str, str] = {"mix": flow_run.name, "run": str(flow_run.id)[:8], "step": step}
    if where.get("label"):
        words["label"] = where["label"]
    if isinstance(payload.get("proxy"), str):
        words["proxy"] = payload["proxy"][:12]
    return StepLog(get_run_logger(), {**words, "key": key[:12]})
