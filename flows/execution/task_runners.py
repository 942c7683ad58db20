"""Where steps run: in threads of this process, on a Ray or a Dask cluster, or proxies as flow runs of their own.

Whichever it is, a step is the same Prefect task with the same key, and the store is all that machines share. On a
cluster the task runs in a process of another machine, and trains there as it would here: in a process of its own.
Only what trains or measures a proxy asks for resources; everything else is small.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from prefect.exceptions import CrashedRun
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from olmix_core.config.config import Config
from olmix_core.config.execution import Execution
from olmix_core.errors import ConfigError
from olmix_core.workers.pool import at_once

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@contextmanager
def started(config: Config, config_file: str, workers: int | None) -> Iterator[TaskRunner[Any]]:
    """The task runner that `execution.runner` asks for; what it started ends with the block.

    workers: proxies at once, where that is for us to say: in threads, and on a cluster that is started here.

    Raises:
        ConfigError: an extra is not installed, or the cluster or deployment cannot be reached or cannot serve.
    """
    execution = config.execution
    if execution.runner == "ray":
        address = execution.address or os.environ.get("RAY_ADDRESS")
        if address is None:
            # Read when Ray is imported: without machines to talk to, it listens on the loopback address only.
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        _is_installed(config_file, "ray", "prefect_ray")
        from flows.execution.ray import cluster as ray_cluster

        with _one_server(config_file, address), ray_cluster(execution, address, config_file, workers) as runner:
            yield runner
    elif execution.runner == "dask":
        _is_installed(config_file, "dask", "prefect_dask")
        from flows.execution.dask import cluster as dask_cluster

        address = execution.address or os.environ.get("DASK_SCHEDULER_ADDRESS")
        with _one_server(config_file, address), dask_cluster(execution, address, config_file, workers) as runner:
            yield runner
    else:
        if execution.runner == "deployment":
            from flows.execution.deployment_runner import check_deployment

            check_deployment(execution, config_file)
        yield ThreadPoolTaskRunner(max_workers=workers or at_once())


def carries_a_proxy(step: str, calls: Sequence[tuple[Any, Mapping[str, Any]]]) -> bool:
    """Whether calls of `step` train or measure proxies; what a trainer of your own measured is only read."""
    return step == "train" or (step == "evaluate" and any(where["task"]["metric"] is None for _, where in calls))


def requests(execution: Execution) -> AbstractContextManager[Any]:
    """What is submitted within the block asks for the resources of a proxy; called while the runner is started."""
    if execution.runner == "ray":
        from flows.execution.ray import requests as ray_requests

        return ray_requests(execution)
    if execution.runner == "dask":
        from flows.execution.dask import requests as dask_requests

        return dask_requests(execution)
    return nullcontext()


def is_loss(error: BaseException) -> bool:
    """Whether `error` is an engine's word that it lost a process or machine, rather than what a step said."""
    return isinstance(error, CrashedRun) or type(error).__module__.partition(".")[0] in ("ray", "distributed")


def _is_installed(config_file: str, extra: str, module: str) -> None:
    try:
        __import__(module)
    except ImportError as error:
        raise ConfigError(
            config_file,
            "execution.runner",
            f"{extra}, but {error.name or module} is not installed",
            f"the packages of the extra {extra!r}: pip install 'olmix-flows[{extra}]'",
        ) from error


@contextmanager
def _one_server(config_file: str, address: str | None) -> Iterator[None]:
    """All processes talk to one Prefect server: the one that is configured, or a temporary one of this machine."""
    if PREFECT_API_URL.value() is not None:
        yield
        return
    if address is not None and not any(name in address for name in LOOPBACK):
        raise ConfigError(
            config_file,
            "execution.address",
            f"{address} without a Prefect server",
            "PREFECT_API_URL to name a server that the machines of the cluster can reach (prefect server start)",
        )
    server = SubprocessASGIServer()  # the one that every client of this process uses then; it ends with the process
    server.start()
    with temporary_settings({PREFECT_API_URL: server.api_url}):
        yield
