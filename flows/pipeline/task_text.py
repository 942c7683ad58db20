"""Where text of the tasks of a run stands, and which passages earlier proxies left out, as the store knows it."""

from collections.abc import Collection, Mapping
from functools import lru_cache

from flows.pipeline.context import RunContext
from olmix_core.data.corpus import read_exclusion
from olmix_core.errors import DamageError
from olmix_core.evidence.task_text import Passages, TaskText
from olmix_core.proxies.results import load_run
from tasks.runtime.payload import read_payload
from tasks.steps.train import TrainPayload, train


def task_text(context: RunContext) -> TaskText:
    """Describe the text of the tasks of a run.

    Args:
        context: The run, once the overlap is known.

    Returns:
        Where it stands.
    """
    store, overlap = context.store, context.state.overlap
    holders = {
        task.fingerprint: [Passages(*held) for held in overlap.holders([task.fingerprint, *task.leaves])]
        for task in context.inputs.tasks
    }

    @lru_cache(maxsize=256)
    def numbers(name: str) -> Collection[int]:
        try:
            return frozenset(read_exclusion(store, name).tolist())
        except (FileNotFoundError, DamageError):
            return ()

    def exclusions(proxy: str) -> Mapping[str, str] | None:
        try:
            stored = read_payload(store, train.name, proxy)
            payload = None if stored is None else TrainPayload.from_json(stored.payload)
        except (DamageError, ValueError):
            payload = None
        if payload is None:  # unknown, or trained elsewhere and known by its row only
            return None if load_run(store, proxy) is None else {}
        return payload.exclusions or {}

    return TaskText({task: held for task, held in holders.items() if held}, numbers, exclusions)
