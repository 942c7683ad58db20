"""Carrying out a step for one payload or many: for real, through Prefect."""

from collections.abc import Iterable
from typing import Any, Protocol

from prefect.futures import PrefectFuture
from prefect.utilities.urls import url_for

from olmix_core.errors import StoreError
from tasks import progress
from tasks.artifacts import Artifacts, Done
from tasks.step import Payload, Result, Step

Call = tuple[Payload, dict[str, Any]]  # the payload, and where things are


class Executor(Protocol):
    """What the chain of steps is given to carry them out; `dry_run` has another one."""

    store: str
    estimated: bool  # whether some numbers of tokens are estimates

    def run_all(self, step: Step, calls: Iterable[Call]) -> list[Result]:
        """The results for every call, in order."""
        ...

    def run(self, step: Step, payload: Payload, **where: Any) -> Result:
        """The result for one payload."""
        ...


class PrefectExecutor:
    """Runs steps as Prefect tasks; what is cached is not run again."""

    def __init__(self, store: str, artifacts: Artifacts) -> None:
        self.store = store
        self.artifacts = artifacts
        self.estimated = False
        self.keys: dict[str, list[str]] = {}

    def run_all(self, step: Step, calls: Iterable[Call]) -> list[Result]:
        """Submit all, wait for all, and return the results in order.

        Raises the first error once all have ended, so that nothing that can be finished is lost; StoreError where a
        result could not be kept.
        """
        calls = list(calls)
        progress.current().expect(step.name, len(calls))
        # Prefect would swallow an error in here and run the task without a cache.
        known = self.keys.setdefault(step.name, [])
        known += [key for key in (step.key(payload) for payload, _ in calls) if key not in known]
        futures = [self._submit(step, payload, where) for payload, where in calls]
        for future in futures:
            future.wait()
        results = [future.result() for future in futures]
        for future in futures:
            # Prefect only logs it when a result cannot be written.
            if not getattr(future.state.data, "is_persisted", False):
                raise StoreError(
                    f"store: {self.store}: a result of step {step.name!r} could not be written; expected a store"
                    " that stays writable: free some space or check its permissions, then run again"
                )
        done = [
            Done(payload, where, result, "cached" if future.state.name == "Cached" else "executed", _page(future))
            for (payload, where), result, future in zip(calls, results, futures, strict=True)
        ]
        self.artifacts.leave(step.name, done)
        return results

    def run(self, step: Step, payload: Payload, **where: Any) -> Result:
        return self.run_all(step, [(payload, where)])[0]

    def _submit(self, step: Step, payload: Payload, where: dict[str, Any]) -> PrefectFuture[Result]:
        future: PrefectFuture[Result] = step.task.submit(payload, self.store, **where)

        def count(done: PrefectFuture[Result]) -> None:
            done.wait()  # it is done; only now does it know its last state
            state = done.state
            progress.current().finished(step.name, cached=state.name == "Cached", failed=not state.is_completed())

        future.add_done_callback(count)
        return future


def _page(future: PrefectFuture[Result]) -> str | None:
    """The page of a task run in the UI; None where there is none."""
    return url_for("task-run", obj_id=future.task_run_id)
