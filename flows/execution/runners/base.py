"""The interface of a runner, and what several runners share.

With every runner a step is the same Prefect task with the same key, and the store is all that machines share. On a
cluster the task runs in a process of another machine and trains there as it would here, in a process of its own. Only
training and evaluating a proxy ask for resources; all other steps are small.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from typing import Any, ClassVar

from prefect.exceptions import CrashedRun
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import TaskRunner

from olmix_core.config.execution import Execution
from olmix_core.errors import ConfigError
from olmix_core.registry import Registry
from olmix_core.storage.store import Store
from tasks.runtime.step import Call, Step

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Runner(ABC):
    """A place where the steps of a run are carried out.

    A run enters `start` once. For each step that trains or evaluates proxies it calls `launch`, then submits a task per
    call inside `reserve`; a task that fails with an error for which `is_loss` is true is tried again.

    Attributes:
        name: Value of `execution.runner`.
        on_cluster: Whether tasks run on other machines, so that the store has to be one that they share.
    """

    name: ClassVar[str]
    on_cluster: ClassVar[bool] = False

    @abstractmethod
    def start(
        self, execution: Execution, config_file: str, workers: int | None
    ) -> AbstractContextManager[TaskRunner[Any]]:
        """Start the Prefect task runner; whatever it started ends with the block.

        Args:
            execution: The `execution` section of the configuration.
            config_file: Path of the configuration, for error messages.
            workers: Proxies at once; None for one per GPU or core. Ignored where a cluster decides.

        Returns:
            Context manager that gives the task runner.

        Raises:
            ConfigError: If an extra is not installed, or the cluster or deployment cannot be reached or cannot serve.
        """

    def reserve(self, execution: Execution) -> AbstractContextManager[Any]:
        """Ask for the resources of a proxy for every task that is submitted within the block.

        Args:
            execution: The `execution` section, with the `resources` to reserve.

        Returns:
            Context manager; to be entered while the runner is started.
        """
        del execution
        return nullcontext()

    def launch(self, step: Step[Any, Any], calls: Sequence[Call[Any]], store: Store, execution: Execution) -> set[str]:
        """Compute missing results of a proxy step outside this flow, before its tasks are submitted.

        Args:
            step: The step, one that trains or evaluates proxies.
            calls: Its payloads, and where things are.
            store: The store of the run.
            execution: The `execution` section of the configuration.

        Returns:
            Keys of the results that were computed; empty for runners that do not launch anything.
        """
        del step, calls, store, execution
        return set()

    def is_loss(self, error: BaseException) -> bool:
        """Tell a lost process or machine from an error that a step raised.

        Args:
            error: What a task ended with.

        Returns:
            Whether the engine reports with it that it lost a worker.
        """
        return isinstance(error, CrashedRun)


RUNNERS: Registry[Runner] = Registry("runner")


def require_extra(config_file: str, extra: str, module: str) -> None:
    """Import the engine of a runner.

    Args:
        config_file: Path of the configuration, for the error message.
        extra: The optional dependency of this project that installs it.
        module: Name of the module to import.

    Raises:
        ConfigError: If it is not installed.
    """
    try:
        import_module(module)
    except ImportError as error:
        raise ConfigError(
            config_file,
            "execution.runner",
            f"{extra}, but {error.name or module} is not installed",
            f"the packages of the extra {extra!r}: pip install 'olmix-flows[{extra}]'",
        ) from error


@contextmanager
def one_server(config_file: str, address: str | None) -> Iterator[None]:
    """Let all processes use one Prefect server: the configured one, or a temporary one on this machine.

    Args:
        config_file: Path of the configuration, for the error message.
        address: Address of the cluster; None for a cluster on this machine.

    Yields:
        Nothing; the server is used within the block.

    Raises:
        ConfigError: If the cluster is on other machines and no server is configured.
    """
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
    server = SubprocessASGIServer()  # every client of this process uses it; it ends with the process
    server.start()
    with temporary_settings({PREFECT_API_URL: server.api_url}):
        yield
