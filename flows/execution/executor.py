"""Carrying out a step for one payload or many: for real, through Prefect."""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import Any, Protocol

from prefect.futures import PrefectFuture, as_completed
from prefect.utilities.urls import url_for

from flows.execution.runners import get_runner
from olmix_core.config.execution import Execution
from olmix_core.errors import StoreError, TrainingError
from olmix_core.storage.layout import result_key, result_path
from olmix_core.storage.store import Store
from tasks.runtime import progress
from tasks.runtime.artifacts import Artifacts, Done
from tasks.runtime.results import results_block
from tasks.runtime.step import Payload, Result, Step

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

    def __init__(self, store: str, artifacts: Artifacts, execution: Execution) -> None:
        self.store = store
        self.execution = execution
        self.runner = get_runner(execution.runner)
        # Part of each task: what a flow keeps of its results is not told to processes on other machines.
        self.storage = results_block(store)
        self.artifacts = artifacts
        self.estimated = False
        self.keys: dict[str, list[str]] = {}

    def run_all(self, step: Step, calls: Iterable[Call]) -> list[Result]:
        """Submit all, wait for all, and return the results in order.

        Raises the first error once all have ended, so that nothing that can be finished is lost; StoreError where a
        result could not be kept.
        """
        calls, tracked = list(calls), progress.current()
        tracked.expect(step.name, len(calls))
        # Prefect would swallow an error in here and run the task without a cache.
        keys = [step.key(payload) for payload, _ in calls]
        known = self.keys.setdefault(step.name, [])
        known += dict.fromkeys(key for key in keys if key not in known)
        on_proxies = runs_proxies(step.name, calls)
        elsewhere = self.runner.launch(step, calls, self.store, self.execution) if on_proxies else set()
        with self.runner.reserve(self.execution) if on_proxies else nullcontext():
            task = step.task.with_options(result_storage=self.storage, cache_policy=step.policy(self.store))
            futures = [task.submit(payload, self.store, **where) for payload, where in calls]
        key_of = dict(zip(futures, keys, strict=True))
        for future in as_completed(futures):
            future.wait()  # it is done; only now does it know its last state
            found = future.state.name == "Cached"
            if not (found and key_of[future] in elsewhere):  # those are counted
                tracked.finished(step.name, cached=found, failed=not future.state.is_completed())
        results = [self._result(step, future) for future in futures]
        self._check_that_the_store_is_shared(step, keys, futures)
        done = [
            Done(
                payload,
                where,
                result,
                "cached" if future.state.name == "Cached" and key not in elsewhere else "executed",
                _page(future),
            )
            for (payload, where), key, result, future in zip(calls, keys, results, futures, strict=True)
        ]
        self.artifacts.leave(step.name, done)
        return results

    def run(self, step: Step, payload: Payload, **where: Any) -> Result:
        """The result for one payload."""
        return self.run_all(step, [(payload, where)])[0]

    def _result(self, step: Step, future: PrefectFuture[Result]) -> Result:
        try:
            result = future.result()
        except Exception as error:
            if not self.runner.is_loss(error):
                raise
            raise TrainingError(
                f"step {step.name!r}: a process or machine of the cluster died, time and again: {error}; look into its"
                " logs (too little memory is the usual cause), then run again: what was finished is kept"
            ) from error
        # Prefect only logs it when a result cannot be written.
        if not getattr(future.state.data, "is_persisted", False):
            raise StoreError(
                f"store: {self.store}: a result of step {step.name!r} could not be written; expected a store"
                " that stays writable: free some space or check its permissions, then run again"
            )
        return result

    def _check_that_the_store_is_shared(
        self, step: Step, keys: Sequence[str], futures: Sequence[PrefectFuture[Result]]
    ) -> None:
        """What another machine wrote has to be here as well; one result of a step tells."""
        if not self.runner.on_cluster:
            return
        for key, future in zip(keys, futures, strict=True):
            if future.state.name != "Cached":
                if not Store(self.store).exists(result_path(result_key(step.name, key))):
                    raise StoreError(
                        f"store: {self.store}: a result of step {step.name!r} was written on the cluster and is not"
                        " here; expected a store that all machines share: an object store, or a file system that all"
                        " see by the same path"
                    )
                return


def _page(future: PrefectFuture[Result]) -> str | None:
    """The page of a task run in the UI; None where there is none."""
    return url_for("task-run", obj_id=future.task_run_id)


def runs_proxies(step: str, calls: Sequence[Call]) -> bool:
    """Tell whether calls of a step train or evaluate proxies here, and so need the resources of a proxy.

    Args:
        step: Name of the step.
        calls: Its payloads, and where things are.

    Returns:
        False also for metrics of an external trainer, which are only read.
    """
    return step == "train" or (step == "evaluate" and any(where["task"]["metric"] is None for _, where in calls))
