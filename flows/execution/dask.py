"""Steps on a Dask cluster, through prefect-dask: one that is there, or one on this machine while the run lasts.

A worker runs as many tasks at once as it has threads, and what else is asked for has to be declared by it
(`dask worker --resources "GPU=1"`): Dask counts, it does not measure. A task whose worker dies is run again (3 times
at most); a proxy goes on from its last checkpoint in the store then.
"""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import dask
from distributed import Client, Nanny, Scheduler, SpecCluster
from prefect_dask import DaskTaskRunner

from olmix_core.config.execution import Execution, Resources
from olmix_core.errors import ConfigError
from olmix_core.workers.pool import at_once, visible_gpus


@contextmanager
def cluster(
    execution: Execution, address: str | None, config_file: str, workers: int | None
) -> Iterator[DaskTaskRunner]:
    """Connect to the cluster at `address`, or start one on this machine, that is ended with the block.

    Raises:
        ConfigError: it cannot be reached, or has no place for a proxy.
    """
    if address is None:
        with SpecCluster(
            workers=_workers(workers or at_once()), scheduler=_SCHEDULER, silence_logs=logging.ERROR
        ) as local:
            yield _runner(local.scheduler_address, execution.resources, config_file)
        return
    yield _runner(address, execution.resources, config_file)


_SCHEDULER = {"cls": Scheduler, "options": {"host": "127.0.0.1", "port": 0, "dashboard": False}}


def _workers(count: int) -> dict[int, dict[str, Any]]:
    """Worker processes of one thread for this machine, each with one of its GPUs."""
    # Dask would stop a worker by its memory, which is not that of the process that trains.
    common = {"nthreads": 1, "host": "127.0.0.1", "memory_limit": 0, "dashboard": False}
    gpus = visible_gpus()

    def own(number: int) -> dict[str, Any]:
        if not gpus:
            return {}
        return {"env": {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]}, "resources": {"GPU": 1}}

    return {number: {"cls": Nanny, "options": {**common, **own(number)}} for number in range(count)}


def _runner(address: str, resources: Resources, config_file: str) -> DaskTaskRunner:
    try:
        with Client(address, timeout=30, set_as_default=False) as client:
            workers = client.scheduler_info(n_workers=-1)["workers"].values()
    except (OSError, ValueError) as error:
        raise ConfigError(
            config_file, "execution.address", f"no Dask scheduler at {address}: {error}", "one that answers"
        ) from error
    for kind, needed in asked(resources).items():
        most = max((worker["resources"].get(kind, 0) for worker in workers), default=0)
        if workers and needed > most:
            raise ConfigError(
                config_file,
                "execution.resources",
                f"{needed:g} {kind} for a proxy, with workers that declare {most:g} at most",
                f'workers that have it: dask worker --resources "{kind}={needed:g}"',
            )
    return DaskTaskRunner(address=address)


def requests(execution: Execution) -> AbstractContextManager[Any]:
    """What is submitted within the block asks for the resources of a proxy."""
    placed: AbstractContextManager[Any] = dask.annotate(resources=asked(execution.resources))
    return placed


def asked(resources: Resources) -> dict[str, float]:
    """The same as what workers declare; a proxy of one core asks for nothing but a thread."""
    found: dict[str, float] = {}
    if resources.cpus > 1:
        found["CPU"] = resources.cpus
    if resources.gpus:
        found["GPU"] = resources.gpus
    if resources.memory_gb is not None:
        found["MEMORY"] = resources.memory_gb * 1e9
    return found
