"""Steps on a Ray cluster, through prefect-ray: one that is there, or one on this machine for as long as the run lasts.

Ray places each task where what it asks for is free, and runs it again (3 times at most) when its process or machine
dies. A proxy whose machine died goes on from its last checkpoint in the store.
"""

import math
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import ray
from prefect_ray import RayTaskRunner
from prefect_ray.context import remote_options
from ray.exceptions import RayError

from olmix_core.config.execution import Execution, Resources
from olmix_core.errors import ConfigError
from olmix_core.workers.pool import at_once

OBJECT_STORE_BYTES = 100_000_000  # results are small JSON; what is large goes through the store


@contextmanager
def cluster(
    execution: Execution, address: str | None, config_file: str, workers: int | None
) -> Iterator[RayTaskRunner[Any]]:
    """Connect to the cluster at `address`, or start one on this machine; left, or ended, with the block.

    Raises:
        ConfigError: it cannot be reached, or has no place for a proxy.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anyone unless the user asks for it
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False, "namespace": "olmix"}
    if address is None:
        options |= {
            "address": "local",
            "num_cpus": math.ceil((workers or at_once()) * execution.resources.cpus),
            "object_store_memory": OBJECT_STORE_BYTES,
            "include_dashboard": False,
        }
    else:
        options["address"] = address
    try:
        ray.init(**options)
    except (ConnectionError, RayError, ValueError, RuntimeError) as error:
        place = f"a Ray cluster at {address}" if address else "Ray"
        raise ConfigError(
            config_file, "execution.runner", f"that {place} does not answer or start: {error}", "one that does"
        ) from error
    try:
        if address is None:
            _has_place(execution.resources, config_file)
        yield RayTaskRunner()  # uses the connection that is there
    finally:
        ray.shutdown()


def requests(execution: Execution) -> AbstractContextManager[Any]:
    """What is submitted within the block asks for the resources of a proxy."""
    placed: AbstractContextManager[Any] = remote_options(**asked(execution.resources))
    return placed


def asked(resources: Resources) -> dict[str, Any]:
    """The same in Ray's words. While Ray is connected."""
    gpus = resources.gpus
    if gpus is None:
        gpus = 1.0 if ray.cluster_resources().get("GPU") else 0.0
    found: dict[str, Any] = {"num_cpus": resources.cpus, "num_gpus": gpus}
    if resources.memory_gb is not None:
        found["memory"] = int(resources.memory_gb * 1e9)
    return found


def _has_place(resources: Resources, config_file: str) -> None:
    """A cluster that does not grow would let a proxy wait for ever."""
    there = ray.cluster_resources()
    needs = {"CPU": resources.cpus, "GPU": resources.gpus or 0, "memory": (resources.memory_gb or 0) * 1e9}
    fields = {"CPU": "cpus", "GPU": "gpus", "memory": "memory_gb"}
    for kind, needed in needs.items():
        if needed > there.get(kind, 0):
            unit = 1e9 if kind == "memory" else 1
            raise ConfigError(
                config_file,
                f"execution.resources.{fields[kind]}",
                f"{needed / unit:g} for a proxy, with {there.get(kind, 0) / unit:g} on this machine",
                "no more than there is, or the address of a cluster that has it in execution.address",
            )
