"""Runners: where the steps of a run are carried out. One module each, named like `execution.runner`.

A runner turns the configuration's `execution` section into a Prefect task runner, asks it for the resources of a
proxy, and says which errors mean that a worker was lost. To add one, write a module here with a subclass of `Runner`
and an instance called `RUNNER`, and add its line to `olmix_core.config.execution.RUNNERS`.
"""

from importlib import import_module

from flows.execution.runners.base import Runner
from olmix_core.config.execution import RUNNERS

__all__ = ["Runner", "get_runner"]


def get_runner(name: str) -> Runner:
    """Look up a runner by its name in the configuration.

    Args:
        name: One of `olmix_core.config.execution.RUNNERS`.

    Returns:
        The runner. Its engine is imported only when it starts.

    Raises:
        KeyError: No runner has that name.
    """
    if name not in RUNNERS:
        raise KeyError(name)
    runner: Runner = import_module(f"{__name__}.{name}").RUNNER
    return runner
