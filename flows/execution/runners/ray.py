"""Steps on a Ray cluster through prefect-ray: an existing cluster, or one on this machine while the run lasts.

Ray places each task where the requested resources are free, and reruns it (3 times at most) when its process or machine
dies. A proxy whose machine died continues from its last checkpoint in the store.
"""

import math
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from prefect.task_runners import TaskRunner
from typing_extensions import override

from flows.execution.runners.base import RUNNERS, Runner, one_server, require_extra
from olmix_core.config.execution import Execution, Resources
from olmix_core.errors import ConfigError
from olmix_core.workers.pool import at_once

OBJECT_STORE_BYTES = 100_000_000  # results are small JSON; large ones go through the store


class RayRunner(Runner):
    """Runs steps as tasks of a Ray cluster. Ray is imported when the runner starts."""

    name = "ray"
    on_cluster = True

    @override
    @contextmanager
    def start(self, execution: Execution, config_file: str, workers: int | None) -> Iterator[TaskRunner[Any]]:
        address = execution.address or os.environ.get("RAY_ADDRESS")
        if address is None:
            # Read when Ray is imported: without other machines to reach, it listens on the loopback address only.
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        require_extra(config_file, "ray", "prefect_ray")
        from prefect_ray import RayTaskRunner

        with one_server(config_file, address), _connected(execution.resources, address, config_file, workers):
            yield RayTaskRunner()  # uses the connection that is there

    @override
    def reserve(self, execution: Execution) -> AbstractContextManager[Any]:
        from prefect_ray.context import remote_options

        options: AbstractContextManager[Any] = remote_options(**task_options(execution.resources))
        return options

    @override
    def is_loss(self, error: BaseException) -> bool:
        return super().is_loss(error) or type(error).__module__.partition(".")[0] == "ray"


@contextmanager
def _connected(resources: Resources, address: str | None, config_file: str, workers: int | None) -> Iterator[None]:
    """Connect to the cluster at `address`, or start one on this machine; leave or end it after the block."""
    import ray
    from ray.exceptions import RayError

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry unless the user enables it
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False, "namespace": "olmix"}
    if address is None:
        options |= {
            "address": "local",
            "num_cpus": math.ceil((workers or at_once()) * resources.cpus),
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
            _check_resources(resources, config_file)
        yield
    finally:
        ray.shutdown()


def task_options(resources: Resources) -> dict[str, float]:
    """Express the resources of a proxy as options of a Ray task, while Ray is connected.

    Args:
        resources: `execution.resources`. GPUs left out are 1 where the cluster has any.

    Returns:
        {option: value}, memory in bytes.
    """
    import ray

    gpus = resources.gpus
    if gpus is None:
        gpus = 1.0 if ray.cluster_resources().get("GPU") else 0.0
    options: dict[str, float] = {"num_cpus": resources.cpus, "num_gpus": gpus}
    if resources.memory_gb is not None:
        options["memory"] = int(resources.memory_gb * 1e9)
    return options


def _check_resources(resources: Resources, config_file: str) -> None:
    """Raise ConfigError for more than this machine has: its cluster does not grow, and a proxy would wait for ever."""
    import ray

    available = ray.cluster_resources()
    needs = {"CPU": resources.cpus, "GPU": resources.gpus or 0, "memory": (resources.memory_gb or 0) * 1e9}
    fields = {"CPU": "cpus", "GPU": "gpus", "memory": "memory_gb"}
    for kind, needed in needs.items():
        if needed > available.get(kind, 0):
            unit = 1e9 if kind == "memory" else 1
            raise ConfigError(
                config_file,
                f"execution.resources.{fields[kind]}",
                f"{needed / unit:g} for a proxy, with {available.get(kind, 0) / unit:g} on this machine",
                "no more than there is, or the address of a cluster that has it in execution.address",
            )


RUNNERS.register(RayRunner())
