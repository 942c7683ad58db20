"""A step: a Prefect task whose cache key is ours.

The first argument of every step is its *payload*, exactly what the result depends on; the key is the SHA-256 of the
step's name, its hand-raised `code_version` and the payload. All other arguments only say where things are (the store,
the files, a label to show): they are not part of the key, so a result must not depend on them.

The payload is written beside the result, so that a later miss can be explained by comparing two payloads.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from prefect import Task, task
from prefect.cache_policies import CachePolicy
from prefect.futures import PrefectFuture

from olmix_core.errors import StoreError
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

    def key(self, payload: Payload) -> str:
        return step_key(self.step, self.code_version, payload)

    def compute_key(self, task_ctx: Any, inputs: dict[str, Any], flow_parameters: dict[str, Any], **_: Any) -> str:
        return f"{self.step}/{self.key(inputs['payload'])}"


@dataclass(frozen=True)
class Step:
    """A step of the flow. `task` is what Prefect runs."""

    name: str
    policy: PayloadKey
    task: Task[..., Result]

    def key(self, payload: Payload) -> str:
        """The key of the result for `payload`. Raises TypeError where the payload has no canonical form."""
        return self.policy.key(payload)

    def submit(self, payload: Payload, store: str, **where: Any) -> PrefectFuture[Result]:
        """Run the step for `payload`, or take its result from the cache."""
        # Prefect would swallow an error in here and run the task without a cache.
        self.key(payload)
        future: PrefectFuture[Result] = self.task.submit(payload, store, **where)
        future.add_done_callback(self._count)
        return future

    def _count(self, future: PrefectFuture[Result]) -> None:
        future.wait()  # it is done; only now does it know its last state
        state = future.state
        progress.current().finished(self.name, cached=state.name == "Cached", failed=not state.is_completed())

    def run_all(self, calls: Iterable[tuple[Payload, str, dict[str, Any]]]) -> list[Result]:
        """Submit the step for every (payload, store, where), wait for all, and return the results in order.

        Raises the first error, once all have ended, so that nothing that can be finished is lost.
        """
        calls = list(calls)
        progress.current().expect(self.name, len(calls))
        futures = [self.submit(payload, store, **where) for payload, store, where in calls]
        for future in futures:
            future.wait()
        results = [future.result() for future in futures]
        for (_, store, _), future in zip(calls, futures, strict=True):
            # Prefect only logs it when a result cannot be written.
            if not getattr(future.state.data, "is_persisted", False):
                raise StoreError(
                    f"store: {store}: a result of step {self.name!r} could not be written; expected a store that"
                    " stays writable: free some space or check its permissions, then run again"
                )
        return results

    def run(self, payload: Payload, store: str, **where: Any) -> Result:
        """Run the step for one payload and return its result."""
        return self.run_all([(payload, store, where)])[0]


def step(name: str, code_version: int) -> Callable[[Callable[..., Result]], Step]:
    """Make a step of a function (payload, store, **where) -> plain JSON."""

    def decorate(function: Callable[..., Result]) -> Step:
        policy = PayloadKey(step=name, code_version=code_version)

        @wraps(function)
        def body(payload: Payload, store: str, **where: Any) -> Result:
            progress.current().started(name)
            result = function(payload, store, **where)
            record = {"step": name, "code_version": code_version, "payload": payload}
            Store(store).write_json(f"cache/{name}/{policy.key(payload)}.payload.json", record)
            return result

        def run_name(parameters: dict[str, Any]) -> str:
            return f"{name} {parameters['label']}" if parameters.get("label") else name

        make = task(
            name=name,
            task_run_name=run_name,  # type: ignore[arg-type]  # a protocol that no function meets
            cache_policy=policy,
            persist_result=True,
            result_serializer=SERIALIZER,
        )
        return Step(name, policy, make(body))

    return decorate
