"""Proxies as flow runs of their own, for clusters that Prefect starts jobs on: Kubernetes, Slurm, or any work pool.

Missing results of a step are written into the store as jobs, one per proxy, and each job is given to a flow run of the
deployment `execution.deployment`. Wherever the work pool starts it, it carries out the same tasks with the same keys
and leaves their results in the store, where the flow then finds them.

A flow run of the same job that is queued or running, left by an earlier run that was killed, is waited for instead of
started again. A job whose machine died (state Crashed) is submitted again; a proxy then continues from its last
checkpoint.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelling
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from pydantic import JsonValue
from typing_extensions import override

from flows.execution.deployment_job import DeploymentJob
from flows.execution.runners.base import RUNNERS, Runner
from olmix_core.config.execution import Execution
from olmix_core.errors import ConfigError, OlmixError, StoreError, TrainingError
from olmix_core.identity import digest
from olmix_core.storage.layout import job_path, result_key
from olmix_core.storage.store import Store
from olmix_core.workers.pool import at_once
from tasks.runtime import progress
from tasks.runtime.results import known_result
from tasks.runtime.step import Call, Step
from tasks.steps.evaluate import EvaluatePayload

MAX_SUBMISSIONS = 4  # of one job: as often as Ray runs a task whose machine dies
POLL_SECONDS = 2.0
READERS = 32  # results looked up at once: an object store answers many at once
PAGE = 200  # flow runs that the server returns at once
ALIVE = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING]


class DeploymentRunner(Runner):
    """Runs proxies as flow runs of a deployment, and all other steps in threads of this process."""

    name = "deployment"

    @override
    def start(
        self, execution: Execution, config_file: str, workers: int | None
    ) -> AbstractContextManager[TaskRunner[Any]]:
        _check_deployment(execution, config_file)
        return nullcontext(ThreadPoolTaskRunner(max_workers=workers or at_once()))

    def launch(self, step: Step[Any, Any], calls: Sequence[Call[Any]], store: Store, execution: Execution) -> set[str]:
        """Compute missing results by flow runs of the deployment.

        Args:
            step: The step.
            calls: Its payloads, and where things are.
            store: The store of the run.
            execution: The `execution` section of the configuration.

        Returns:
            Keys of the results that flow runs computed.

        Raises:
            TrainingError: Once all flow runs have ended, if one failed, was cancelled, or crashed too often.
            StoreError: The same, if one completed, but its result is not in the store as seen from here.
        """
        jobs = {job.name: job for job in _jobs(step, calls, store)}
        if not jobs:
            return set()
        missing = {key for job in jobs.values() for key in job.missing(store)}
        with get_client(sync_client=True) as client:
            failures = _LaunchedJobs(client, store, execution, jobs).wait()
        if failures:
            raise failures[0]
        return missing


@dataclass(frozen=True)
class Job:
    """Calls of one step for one proxy.

    Attributes:
        name: Digest of the keys to compute.
        label: Name for people.
        step: The step.
        calls: Payloads, and where things are.
    """

    name: str
    label: str
    step: Step[Any, Any]
    calls: Sequence[Call[Any]]

    def missing(self, store: Store) -> list[str]:
        """List what is still to be computed.

        Args:
            store: The store.

        Returns:
            Keys without a result in the store.
        """
        keys = [self.step.key(call.payload) for call in self.calls]
        return [key for key in keys if known_result(store, result_key(self.step.name, key)) is None]


def job_variables(execution: Execution) -> dict[str, JsonValue]:
    """Express the resources of a proxy in the variables of the job templates under deployments/.

    Args:
        execution: Its `resources`, and `job_variables`, which win.

    Returns:
        {variable: value} for the work pool.
    """
    resources = execution.resources
    variables: dict[str, JsonValue] = {"cpus": resources.cpus}
    if resources.gpus is not None:
        variables["gpus"] = int(resources.gpus)
    if resources.memory_gb is not None:
        variables["memory"] = f"{round(resources.memory_gb * 1000)}M"
    return {**variables, **execution.job_variables}


def _check_deployment(execution: Execution, config_file: str) -> None:
    """Raise ConfigError if there is no server, or no such deployment on it."""
    command = "prefect --no-prompt deploy --prefect-file deployments/prefect.yaml --name proxy"
    url = PREFECT_API_URL.value()
    if url is None:
        raise ConfigError(
            config_file, "execution.runner", "deployment without a Prefect server", "PREFECT_API_URL to name one"
        )
    with get_client(sync_client=True) as client:
        try:
            client.read_deployment_by_name(execution.deployment)
        except (ObjectNotFound, ValueError) as error:  # ValueError: a name without a slash
            raise ConfigError(
                config_file,
                "execution.deployment",
                f"{execution.deployment!r}, which is not on {url}",
                f"a deployment FLOW/NAME of the flow in flows/proxy.py: {command}",
            ) from error


def _jobs(step: Step[Any, Any], calls: Sequence[Call[Any]], store: Store) -> Iterator[Job]:
    """Group missing results by proxy, so that its model is fetched once and measured on all tasks."""
    keys = [step.key(call.payload) for call in calls]
    with ThreadPoolExecutor(READERS) as threads:
        results = threads.map(lambda key: known_result(store, result_key(step.name, key)), keys)
    groups: dict[str, list[Call[Any]]] = {}
    for call, key, result in zip(calls, keys, results, strict=True):
        if result is None:
            proxy = call.payload.proxy if isinstance(call.payload, EvaluatePayload) else key
            groups.setdefault(proxy, []).append(call)
    for proxy, group in groups.items():
        keys = sorted(step.key(call.payload) for call in group)
        label = f"{step.name} {group[0].where['label'] if len(group) == 1 else proxy[:6]}"
        yield Job(digest({"store": store.url, "keys": keys}), label, step, group)


class _LaunchedJobs:
    """The flow runs of jobs, from their submission to their end."""

    def __init__(self, client: SyncPrefectClient, store: Store, execution: Execution, jobs: Mapping[str, Job]) -> None:
        self._client, self._store, self._execution, self._jobs = client, store, execution, jobs
        self._alive: dict[UUID, Job] = {}
        self._submissions = dict.fromkeys(jobs, 0)

    def wait(self) -> list[OlmixError]:
        """Submit all, wait for all, and return the errors in the order in which they happened.

        Ctrl-C cancels the flow runs; if this run ends otherwise they continue, and the next run waits for them.
        """
        failures: list[OlmixError] = []
        try:
            running = self._running()
            for job in self._jobs.values():
                if job.name in running:
                    self._alive[running[job.name]] = job
                else:
                    self._submit(job)
            while self._alive:
                time.sleep(POLL_SECONDS)
                for run in self._read(FlowRunFilter(id=FlowRunFilterId(any_=list(self._alive)))):
                    assert run.state is not None
                    if run.state.is_final() and (failure := self._ended(self._alive.pop(run.id), run)):
                        failures.append(failure)
        except KeyboardInterrupt:
            for run_id in self._alive:
                self._client.set_flow_run_state(run_id, Cancelling(), force=True)
            raise
        return failures

    def _ended(self, job: Job, run: FlowRun) -> OlmixError | None:
        """Return the error of a flow run that ended, if any; submit a job whose machine died again."""
        assert run.state is not None
        tracked = progress.current()
        if run.state.is_completed() and not (lost := job.missing(self._store)):
            for _ in job.calls:
                tracked.elsewhere(job.step.name)
            return None
        if run.state.is_crashed() and self._submissions[job.name] < MAX_SUBMISSIONS:
            self._submit(job)
            return None
        for _ in job.calls:
            tracked.finished(job.step.name, failed=True)
        if run.state.is_completed():
            return StoreError(
                f"store: {self._store.url}: flow run {run.name!r} completed, but {len(lost)} of its results are not"
                " here; expected a store that this machine and the work pool share, by the same path or URL"
            )
        message = (run.state.message or "no message").removeprefix("Flow run encountered an exception: ")
        return TrainingError(f"flow run {run.name!r} ended as {run.state.name}: {message}")

    def _submit(self, job: Job) -> None:
        self._submissions[job.name] += 1
        description = DeploymentJob(job.step.name, [(call.payload.to_json(), call.where) for call in job.calls])
        self._store.write_json(job_path(job.name), description.to_json())
        # Typed as possibly a coroutine, which it is only inside an event loop.
        run = cast(
            FlowRun,
            run_deployment(
                self._execution.deployment,
                parameters={"job": job.name, "store": self._store.url, "label": job.label},
                flow_run_name=job.label,
                tags=[_tag(job.name)],
                job_variables=job_variables(self._execution),
                timeout=0,
            ),
        )
        self._alive[run.id] = job

    def _running(self) -> dict[str, UUID]:
        """{job: flow run} of jobs that an earlier run submitted and that have not ended."""
        states = FlowRunFilterState(type=FlowRunFilterStateType(any_=ALIVE))
        by_tag = {_tag(name): name for name in self._jobs}
        tagged = FlowRunFilterTags(any_=list(by_tag))
        return {
            by_tag[tag]: run.id
            for run in self._read(FlowRunFilter(state=states, tags=tagged))
            for tag in run.tags
            if tag in by_tag
        }

    def _read(self, selection: FlowRunFilter) -> Iterator[FlowRun]:
        offset = 0
        while page := self._client.read_flow_runs(flow_run_filter=selection, limit=PAGE, offset=offset):
            yield from page
            offset += PAGE


def _tag(job: str) -> str:
    return f"job:{job[:16]}"


RUNNERS.register(DeploymentRunner())
