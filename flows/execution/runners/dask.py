"""Steps on a Dask cluster through prefect-dask: an existing cluster, or one on this machine while the run lasts.

A worker runs as many tasks at once as it has threads. Other resources have to be declared by the workers
(`dask worker --resources "GPU=1"`): Dask counts them, it does not measure them. A task whose worker dies is rerun (3
times at most); a proxy then continues from its last checkpoint in the store.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from prefect.task_runners import TaskRunner
from typing_extensions import override

from flows.execution.runners.base import RUNNERS, Runner, one_server, require_extra
from olmix_core.config.execution import Execution, Resources
from olmix_core.errors import ConfigError
from olmix_core.workers.pool import at_once, visible_gpus


class DaskRunner(Runner):
    """Runs steps as tasks of a Dask cluster. Dask is imported when the runner starts."""

    name = "dask"
    on_cluster = True

    @override
    @contextmanager
    def start(self, execution: Execution, config_file: str, workers: int | None) -> Iterator[TaskRunner[Any]]:
        require_extra(config_file, "dask", "prefect_dask")
        from prefect_dask import DaskTaskRunner

        address = execution.address or os.environ.get("DASK_SCHEDULER_ADDRESS")
        with one_server(config_file, address), _scheduler(address, workers) as scheduler:
            _check_resources(scheduler, execution.resources, config_file)
            yield DaskTaskRunner(address=scheduler)

    @override
    def reserve(self, execution: Execution) -> AbstractContextManager[Any]:
        import dask

        annotation: AbstractContextManager[Any] = dask.annotate(resources=worker_resources(execution.resources))
        return annotation

    @override
    def is_loss(self, error: BaseException) -> bool:
        return super().is_loss(error) or type(error).__module__.partition(".")[0] == "distributed"


@contextmanager
def _scheduler(address: str | None, workers: int | None) -> Iterator[str]:
    """Give `address`, or that of a cluster of worker processes on this machine, which ends with the block."""
    if address is not None:
        yield address
        return
    from distributed import Nanny, Scheduler, SpecCluster

    scheduler = {"cls": Scheduler, "options": {"host": "127.0.0.1", "port": 0, "dashboard": False}}
    # Dask would stop a worker by its memory, which is not that of the process that trains.
    common = {"nthreads": 1, "host": "127.0.0.1", "memory_limit": 0, "dashboard": False}
    specification = {
        number: {"cls": Nanny, "options": {**common, **_own_gpu(number)}} for number in range(workers or at_once())
    }
    with SpecCluster(workers=specification, scheduler=scheduler, silence_logs=logging.ERROR) as cluster:
        yield cluster.scheduler_address


def _own_gpu(number: int) -> dict[str, Any]:
    """Options that give worker `number` one of the GPUs of this machine."""
    gpus = visible_gpus()
    if not gpus:
        return {}
    return {"env": {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]}, "resources": {"GPU": 1}}


def _check_resources(address: str, resources: Resources, config_file: str) -> None:
    """Raise ConfigError if the scheduler does not answer, or no worker declares the resources of a proxy."""
    from distributed import Client

    try:
        with Client(address, timeout=30, set_as_default=False) as client:
            workers = client.scheduler_info(n_workers=-1)["workers"].values()
    except (OSError, ValueError) as error:
        raise ConfigError(
            config_file, "execution.address", f"no Dask scheduler at {address}: {error}", "one that answers"
        ) from error
    for kind, needed in worker_resources(resources).items():
        most = max((worker["resources"].get(kind, 0) for worker in workers), default=0)
        if workers and needed > most:
            raise ConfigError(
                config_file,
                "execution.resources",
                f"{needed:g} {kind} for a proxy, with workers that declare {most:g} at most",
                f'workers that have it: dask worker --resources "{kind}={needed:g}"',
            )


def worker_resources(resources: Resources) -> dict[str, float]:
    """Express the resources of a proxy in the names that Dask workers declare.

    Args:
        resources: `execution.resources`. One core is the thread of the task, and is left out.

    Returns:
        {name: amount}, memory in bytes.
    """
    amounts: dict[str, float] = {}
    if resources.cpus > 1:
        amounts["CPU"] = resources.cpus
    if resources.gpus:
        amounts["GPU"] = resources.gpus
    if resources.memory_gb is not None:
        amounts["MEMORY"] = resources.memory_gb * 1e9
    return amounts


RUNNERS.register(DaskRunner())
