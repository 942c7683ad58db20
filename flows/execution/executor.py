"""Carrying out a step for one payload or many: the base of executors, and the one that uses Prefect."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import Any

from prefect.futures import PrefectFuture, as_completed
from prefect.utilities.urls import url_for
from typing_extensions import override

from flows.execution.runners import RUNNERS
from olmix_core.config.execution import Execution
from olmix_core.errors import StoreError, TrainingError
from olmix_core.serialization import JsonObject
from olmix_core.storage.layout import result_key, result_path
from olmix_core.storage.store import Store
from tasks.runtime import progress
from tasks.runtime.artifacts import Artifacts, Done
from tasks.runtime.results import results_block
from tasks.runtime.step import Call, P, R, Step


class Executor(ABC):
    """What the chain of steps is given to carry them out.

    Attributes:
        store: The store of the run.
        estimated: Whether some numbers of tokens are estimates.
        keys: {step: keys of the results that were asked for, each once}.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.estimated = False
        self.keys: dict[str, list[str]] = {}

    def run_all(self, step: Step[P, R], calls: Iterable[Call[P]]) -> list[R]:
        """Carry out a step several times.

        Args:
            step: The step.
            calls: Its payloads, and where things are.

        Returns:
            A result for each call, in order.

        Raises:
            OlmixError: The first error of a step, once all calls have ended, so that nothing that can be finished is
                lost.
        """
        calls = list(calls)
        # Here, since Prefect swallows an error in the computation of a key and runs the task without a cache.
        keys = [step.key(call.payload) for call in calls]
        recorded = self.keys.setdefault(step.name, [])
        recorded += dict.fromkeys(key for key in keys if key not in recorded)
        return self.carry_out(step, calls, keys)

    @abstractmethod
    def carry_out(self, step: Step[P, R], calls: Sequence[Call[P]], keys: Sequence[str]) -> list[R]:
        """Carry out a step for `run_all`.

        Args:
            step: The step.
            calls: Its payloads, and where things are.
            keys: The keys of the results, one per call.

        Returns:
            A result for each call, in order.

        Raises:
            OlmixError: As `run_all`.
        """

    def run(self, step: Step[P, R], payload: P, **where: Any) -> R:
        """Carry out a step once.

        Args:
            step: The step.
            payload: What the result depends on.
            **where: Where things are.

        Returns:
            The result.
        """
        return self.run_all(step, [Call(payload, where)])[0]


class PrefectExecutor(Executor):
    """Runs steps as Prefect tasks; what is cached is not run again.

    Raises StoreError where a result could not be kept.
    """

    def __init__(self, store: Store, artifacts: Artifacts, execution: Execution) -> None:
        super().__init__(store)
        self.execution = execution
        self.runner = RUNNERS[execution.runner]
        # Part of each task: what a flow keeps of its results is not told to processes on other machines.
        self.storage = results_block(store.url)
        self.artifacts = artifacts

    @override
    def carry_out(self, step: Step[P, R], calls: Sequence[Call[P]], keys: Sequence[str]) -> list[R]:
        tracked = progress.current()
        tracked.expect(step.name, len(calls))
        on_proxies = step.runs_proxies(calls)
        elsewhere = self.runner.launch(step, calls, self.store, self.execution) if on_proxies else set()
        with self.runner.reserve(self.execution) if on_proxies else nullcontext():
            task = step.task.with_options(result_storage=self.storage, cache_policy=step.policy(self.store.url))
            futures = [task.submit(call.payload.to_json(), self.store.url, **call.where) for call in calls]
        key_of = dict(zip(futures, keys, strict=True))
        for future in as_completed(futures):
            future.wait()  # it is done; only now does it know its last state
            cached = future.state.name == "Cached"
            if not (cached and key_of[future] in elsewhere):  # those are counted
                tracked.finished(step.name, cached=cached, failed=not future.state.is_completed())
        results = [
            step.read(self._result(step, future), self.store, key) for future, key in zip(futures, keys, strict=True)
        ]
        self._check_that_the_store_is_shared(step, keys, futures)
        if step.artifact is not None:
            done = [
                Done(
                    call.payload,
                    call.where,
                    result,
                    "cached" if future.state.name == "Cached" and key not in elsewhere else "executed",
                    url_for("task-run", obj_id=future.task_run_id),
                )
                for call, key, result, future in zip(calls, keys, results, futures, strict=True)
            ]
            self.artifacts.leave(step.name, done, step.artifact, step.artifact_name)
        return results

    def _result(self, step: Step[P, R], future: PrefectFuture[JsonObject]) -> JsonObject:
        try:
            result = future.result()
        except Exception as error:
            if not self.runner.is_loss(error):
                raise
            raise TrainingError(
                f"step {step.name!r}: a process or machine of the cluster died repeatedly: {error}; look into its"
                " logs (too little memory is the usual cause), then run again: what was finished is kept"
            ) from error
        # Prefect only logs it when a result cannot be written.
        if not getattr(future.state.data, "is_persisted", False):
            self.store.check_reachable()  # names the reason where that is a server that has died
            raise StoreError(
                f"store: {self.store.url}: a result of step {step.name!r} could not be written; expected a store"
                " that stays writable: free some space or check its permissions, then run again"
            )
        return result

    def _check_that_the_store_is_shared(
        self, step: Step[P, R], keys: Sequence[str], futures: Sequence[PrefectFuture[JsonObject]]
    ) -> None:
        """What another machine wrote has to be here as well; one result of a step tells."""
        if not self.runner.on_cluster:
            return
        for key, future in zip(keys, futures, strict=True):
            if future.state.name != "Cached":
                if not self.store.exists(result_path(result_key(step.name, key))):
                    raise StoreError(
                        f"store: {self.store.url}: a result of step {step.name!r} was written on the cluster and is not"
                        " here; expected a store that all machines share: an object store, or a file system that all"
                        " see by the same path"
                    )
                return
