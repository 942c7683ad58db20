"""Runners: where the steps of a run are carried out. One module each, named like `execution.runner`.

A runner turns the configuration's `execution` section into a Prefect task runner, asks it for the resources of a
proxy, and says which errors mean that a worker was lost. Its engine is imported only when it starts.

To add one, write a module here that registers an instance of a subclass of `Runner` in `RUNNERS`, and add its line to
`olmix_core.config.execution.RUNNER_RULES`, by which the configuration knows it without importing Prefect. An engine of
its own needs an extra in pyproject.toml (`require_extra`). Describe it in docs/scale.md, and name it in the rows of
`execution.runner` in docs/config.md and `--runner` in docs/cli.md. The smallest example is `threads`.
"""

from flows.execution.runners.base import RUNNERS, Runner
from olmix_core.registry import import_modules

import_modules(__name__, __path__)

__all__ = ["RUNNERS", "Runner"]
