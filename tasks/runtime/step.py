"""A step: a Prefect task whose cache key is ours.

The first argument of every step is its *payload*, exactly what the result depends on; the key is the SHA-256 of the
step's name, its hand-raised `code_version` and the payload. All other arguments only say where things are (the store,
the files, a label to show): they are not part of the key, so a result must not depend on them.

The payload is written beside the result, so that a later miss can be explained by comparing two payloads.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from prefect import Task, task
from prefect.cache_policies import CachePolicy
from prefect.runtime import task_run

from olmix_core.errors import WorkerLostError
from olmix_core.identity import step_key
from olmix_core.storage.layout import payload_path, result_key
from olmix_core.storage.store import Store
from olmix_core.workers.cancellation import is_stopped
from tasks.runtime import progress
from tasks.runtime.locks import StoreLocks
from tasks.runtime.log import step_log
from tasks.runtime.results import SERIALIZER, known_result

Payload = dict[str, Any]
Result = dict[str, Any]

RETRY_SECONDS = (2.0, 20.0)  # before a step is tried again, where that can help


@dataclass
class PayloadKey(CachePolicy):
    """The cache policy of a step."""

    step: str = ""
    code_version: int = 0

    def compute_key(self, task_ctx: Any, inputs: dict[str, Any], flow_parameters: dict[str, Any], **_: Any) -> str:
        return result_key(self.step, step_key(self.step, self.code_version, inputs["payload"]))


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

    def policy(self, store: str) -> CachePolicy:
        """The cache policy with which a result in `store` is made once, whoever else wants it at this moment."""
        policy = PayloadKey(step=self.name, code_version=self.code_version)
        return policy.configure(lock_manager=StoreLocks(store), isolation_level="SERIALIZABLE")


def _is_transient(task: Any, run: Any, state: Any) -> bool:
    """Whether a step that failed may succeed when it is tried again.

    A process that was killed from outside (memory ran out, say) goes on from its checkpoint. The same bad input gives
    the same error, and the store has tried again by itself.
    """
    error = state.result(raise_on_failure=False)
    return isinstance(error, WorkerLostError) and not is_stopped()


def step(name: str, code_version: int) -> Callable[[Callable[..., Result]], Step]:
    """Make a step of a function (payload, store, **where) -> plain JSON."""

    def decorate(function: Callable[..., Result]) -> Step:
        @wraps(function)
        def body(payload: Payload, store: str, **where: Any) -> Result:
            opened, key = Store(store), step_key(name, code_version, payload)
            log = step_log(name, key, payload, where)
            if task_run.run_count <= 1:
                progress.current().started(name)
            # Prefect takes a store that does not answer for one without the result. Asked again, it ends the run
            # rather than have it compute anew what is there.
            known = known_result(opened, result_key(name, key))
            if known is not None:
                return known
            log.info("begins")
            began = time.monotonic()
            result = function(payload, store, **where)
            log.info("executed in %.1f s", time.monotonic() - began)
            record = {"step": name, "code_version": code_version, "payload": payload}
            opened.write_json(payload_path(name, key), record)
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
            retries=len(RETRY_SECONDS),
            retry_delay_seconds=list(RETRY_SECONDS),
            retry_condition_fn=_is_transient,
        )
        return Step(name, code_version, function, body, make(body))

    return decorate
