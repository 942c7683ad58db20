"""A step: a Prefect task whose cache key is ours.

The first argument of every step is its *payload*, exactly what the result depends on; the key is the SHA-256 of the
step's name, its hand-raised `code_version` and the payload. All other arguments only say where things are (the store,
the files, a label to show): they are not part of the key, so a result must not depend on them.

The payload is written beside the result, so that a later miss can be explained by comparing two payloads.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from prefect import Task, task
from prefect.cache_policies import CachePolicy

from olmix_core.fingerprint import step_key
from olmix_core.store import Store
from tasks import progress
from tasks.results import SERIALIZER

Payload = dict[str, Any]
Result = dict[str, Any]


@dataclass
class PayloadKey(CachePolicy):
    """The cache policy of a step."""

    step: str = ""
    code_version: int = 0

    def compute_key(self, task_ctx: Any, inputs: dict[str, Any], flow_parameters: dict[str, Any], **_: Any) -> str:
        return result_key(self.step, step_key(self.step, self.code_version, inputs["payload"]))


def result_key(step: str, key: str) -> str:
    """The name under which Prefect keeps the result."""
    return f"{step}/{key}"


def payload_path(step: str, key: str) -> str:
    """Where the payload of a result is written."""
    return f"cache/{step}/{key}.payload.json"


@dataclass(frozen=True)
class Step:
    """A step of the flow. `task` is what Prefect runs, `body` what the task does; `function` is the bare work."""

    name: str
    code_version: int
    function: Callable[..., Result]
    body: Callable[..., Result]
    task: Task[..., Result]

    def key(self, payload: Payload) -> str:
        """The key of the result for `payload`. Raises TypeError where the payload has no canonical form."""
        return step_key(self.name, self.code_version, payload)


def step(name: str, code_version: int) -> Callable[[Callable[..., Result]], Step]:
    """Make a step of a function (payload, store, **where) -> plain JSON."""

    def decorate(function: Callable[..., Result]) -> Step:
        @wraps(function)
        def body(payload: Payload, store: str, **where: Any) -> Result:
            progress.current().started(name)
            result = function(payload, store, **where)
            record = {"step": name, "code_version": code_version, "payload": payload}
            Store(store).write_json(payload_path(name, step_key(name, code_version, payload)), record)
            return result

        # Found under this name, a body goes to processes on other machines as a reference, not as a copy of its code.
        body.__qualname__ = f"{function.__qualname__}.body"

        def run_name(parameters: dict[str, Any]) -> str:
            return f"{name} {parameters['label']}" if parameters.get("label") else name

        make = task(
            name=name,
            task_run_name=run_name,  # type: ignore[arg-type]  # a protocol that no function meets
            cache_policy=PayloadKey(step=name, code_version=code_version),
            persist_result=True,
            result_serializer=SERIALIZER,
        )
        return Step(name, code_version, function, body, make(body))

    return decorate
