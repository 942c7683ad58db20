"""A step: a cached function of a payload, run as a Prefect task.

The first argument of every step is its *payload*, a frozen dataclass with exactly what the result depends on. The key
of a result is the SHA-256 of the step's name, its hand-raised `code_version` and the payload as canonical JSON. All
other arguments only say where things are (the store, files, a label to show): they are not part of the key, so a result
must not depend on them. The result is a frozen dataclass too, and stored as JSON.

The payload is written beside the result, so that a later miss can be explained by comparing two payloads.

A step is declared once, in a module of `tasks.steps`:

    @step("fit", 2, title="fit a law to each task", after="evidence", payload=FitPayload, result=FitResult,
          artifact=describe)
    def fit(payload: FitPayload, store: Store) -> FitResult: ...
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any, Concatenate, Generic, Literal, TypeVar

from prefect import Task, task
from prefect.cache_policies import CachePolicy
from prefect.runtime import task_run

from olmix_core.blas_threads import one_blas_thread
from olmix_core.errors import DamageError, WorkerLostError
from olmix_core.identity import step_key
from olmix_core.serialization import JsonMapping, JsonObject, JsonRecord
from olmix_core.storage.layout import payload_path, result_key, result_path
from olmix_core.storage.store import Store
from olmix_core.workers.cancellation import is_stopped
from tasks.runtime import progress
from tasks.runtime.artifacts import Artifacts, Done, Where
from tasks.runtime.cache_policy import PayloadKey
from tasks.runtime.log import step_log
from tasks.runtime.payload import StoredPayload, Subject, field_sources
from tasks.runtime.registry import Stage
from tasks.runtime.results import SERIALIZER, known_result

RETRY_SECONDS = (2.0, 20.0)  # before a step is tried again, where that can help

P = TypeVar("P", bound=JsonRecord)
R = TypeVar("R", bound=JsonRecord)


@dataclass(frozen=True)
class Call(Generic[P]):
    """One result that is asked of a step.

    Attributes:
        payload: What it depends on.
        where: Further arguments of the step, by name.
    """

    payload: P
    where: Where


@dataclass(frozen=True)
class Estimate(Generic[R]):
    """A predicted result whose numbers are estimates."""

    result: R


Forecaster = Callable[[P, str, Where], R | Estimate[R]]  # payload, key of the result, where things are
Describer = Callable[[Sequence[Done[P, R]], Artifacts], list[str]]


@dataclass(frozen=True, kw_only=True)
class Step(Stage, Generic[P, R]):
    """A step of a run.

    Attributes:
        code_version: Raised by hand when the same payload gives another result.
        payload: Type of its payload.
        result: Type of its result.
        function: The bare work: (payload, store, **where) -> result.
        body: What the task does: (payload as JSON, URL of the store, **where) -> result as JSON.
        task: The Prefect task.
        forecast: How a dry run predicts a result that is missing: a function, or "compute" where the step itself takes
            no time; None where only execution can tell.
        artifact: Says in Markdown what the step did; None for no artifact.
        artifact_name: Beginning of the artifact's key.
        uses_proxies: Tells from `where` whether a call trains or evaluates a proxy, and may run elsewhere.
        subject: What a result is of; None where any result of the step may be compared with any other.
    """

    code_version: int
    payload: type[P]
    result: type[R]
    function: Callable[..., R]
    body: Callable[..., JsonObject]
    task: Task[..., JsonObject]
    forecast: Forecaster[P, R] | Literal["compute"] | None = None
    artifact: Describer[P, R] | None = None
    artifact_name: str = ""
    uses_proxies: Callable[[Where], bool] | None = None
    subject: Subject | None = None

    def key(self, payload: P) -> str:
        """Compute the key of a result.

        Args:
            payload: The payload.

        Returns:
            The key.

        Raises:
            TypeError: The payload has no canonical JSON.
        """
        return step_key(self.name, self.code_version, payload.to_json())

    def policy(self, store: str) -> CachePolicy:
        """Return the cache policy with which a result is declared once, however many runs ask for it at this moment.

        Args:
            store: URL of the store.

        Returns:
            The policy.
        """
        return PayloadKey(step=self.name, code_version=self.code_version).locked(store)

    def known(self, store: Store, key: str) -> R | None:
        """Look up a stored result.

        Args:
            store: The store.
            key: Key of the result.

        Returns:
            The result; None where there is none, or one that cannot be used.

        Raises:
            StoreError: The store does not answer.
        """
        record = known_result(store, result_key(self.name, key))
        try:
            return None if record is None else self.read(record, store, key)
        except DamageError:
            return None

    def read(self, record: JsonMapping, store: Store, key: str) -> R:
        """Read a result from its JSON.

        Args:
            record: The result as JSON.
            store: The store that it is from.
            key: Its key.

        Returns:
            The result.

        Raises:
            DamageError: It is no result of this step.
        """
        try:
            return self.result.from_json(record)
        except ValueError as error:
            raise DamageError(store.place(result_path(result_key(self.name, key))), str(error)) from error

    def execute(self, payload: P, store: Store, **where: Any) -> R:
        """Compute a result and keep its payload; the result itself is kept by the executor.

        Args:
            payload: The payload.
            store: The store.
            **where: Where things are.

        Returns:
            The result.
        """
        with one_blas_thread():
            result = self.function(payload, store, **where)
        record = StoredPayload(self.name, self.code_version, payload.to_json())
        store.write_json(payload_path(self.name, self.key(payload)), record.to_json())
        return result

    def runs_proxies(self, calls: Sequence[Call[P]]) -> bool:
        """Tell whether calls train or evaluate proxies here, and so need the resources of a proxy.

        Args:
            calls: Calls of this step.

        Returns:
            Whether any of them does.
        """
        return self.uses_proxies is not None and any(self.uses_proxies(call.where) for call in calls)

    @cached_property
    def sources(self) -> dict[str, str]:
        """{field of the payload: cause, or step that its value comes from}; all others are settings."""
        return field_sources(self.payload)


def _is_transient(_task: Any, _run: Any, state: Any) -> bool:
    """Whether a step that failed may succeed when it is tried again.

    A process that was killed from outside (memory ran out, say) goes on from its checkpoint. The same bad input gives
    the same error, and the store has tried again by itself.
    """
    error = state.result(raise_on_failure=False)
    return isinstance(error, WorkerLostError) and not is_stopped()


@dataclass(frozen=True)
class step(Generic[P, R]):
    """Declare a step: a decorator that makes a `Step` of a function (payload, store, **where) -> result.

    The attributes are those of `Step` and `Stage`.
    """

    name: str
    code_version: int
    _: KW_ONLY
    title: str
    payload: type[P]
    result: type[R]
    after: str | None = None
    optional: bool = False
    weight: float = 1.0
    forecast: Forecaster[P, R] | Literal["compute"] | None = None
    artifact: Describer[P, R] | None = None
    artifact_name: str = ""
    uses_proxies: Callable[[Where], bool] | None = None
    subject: Subject | None = None

    def __call__(self, function: Callable[Concatenate[P, Store, ...], R]) -> Step[P, R]:
        """Make the step of a function."""

        # Not `wraps`: Prefect would bind arguments by the names that the function gives them.
        def body(payload: JsonObject, store: str, **where: Any) -> JsonObject:
            return _run(declared, payload, store, where)

        # Under this name a body is sent to processes on other machines as a reference, not as a copy of its code.
        body.__module__, body.__name__ = function.__module__, self.name
        body.__qualname__, body.__doc__ = f"{function.__qualname__}.body", function.__doc__

        def run_name(parameters: JsonObject) -> str:
            label = parameters["where"].get("label")
            return f"{self.name} {label}" if label else self.name

        make = task(
            name=self.name,
            task_run_name=run_name,  # type: ignore[arg-type]  # a protocol that no function meets
            cache_policy=PayloadKey(step=self.name, code_version=self.code_version),
            persist_result=True,
            result_serializer=SERIALIZER,
            retries=len(RETRY_SECONDS),
            retry_delay_seconds=list(RETRY_SECONDS),
            retry_condition_fn=_is_transient,
        )
        declared: Step[P, R] = Step(
            name=self.name,
            code_version=self.code_version,
            title=self.title,
            after=self.after,
            optional=self.optional,
            weight=self.weight,
            payload=self.payload,
            result=self.result,
            function=function,
            body=body,
            task=make(body),
            forecast=self.forecast,
            artifact=self.artifact,
            artifact_name=self.artifact_name or self.name,
            uses_proxies=self.uses_proxies,
            subject=self.subject,
        )
        return declared


def _run(declared: Step[P, R], payload: JsonObject, store_url: str, where: Where) -> JsonObject:
    """Compute a result within its task run, unless it is there after all."""
    store, key = Store(store_url), step_key(declared.name, declared.code_version, payload)
    log = step_log(declared.name, key, payload, where)
    if task_run.run_count <= 1:
        progress.current().started(declared.name)
    # Prefect treats a store that does not answer as one without the result. This second look-up ends the run instead
    # of computing again what is there.
    stored = known_result(store, result_key(declared.name, key))
    if stored is not None:
        return stored
    log.info("begins")
    began = time.monotonic()
    result = declared.execute(declared.payload.from_json(payload), store, **where)
    log.info("executed in %.1f s", time.monotonic() - began)
    return result.to_json()
