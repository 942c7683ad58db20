"""Steps in threads of this process; each proxy trains in a process of its own on this machine."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from typing_extensions import override

from flows.execution.runners.base import RUNNERS, Runner
from olmix_core.config.execution import Execution
from olmix_core.workers.pool import at_once


class ThreadsRunner(Runner):
    """Runs steps in threads."""

    name = "threads"

    @override
    def start(
        self,
        execution: Execution,
        config_file: str,
        workers: int | None,
    ) -> AbstractContextManager[TaskRunner[Any]]:
        return nullcontext(ThreadPoolTaskRunner(max_workers=workers or at_once()))


RUNNERS.register(ThreadsRunner())
