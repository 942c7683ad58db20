"""The executor of a dry run: it looks into the cache only. Nothing is started, nothing written.

Where a result is missing it is predicted, if its step says how (`Step.forecast`). What depends on a result that cannot
be predicted will be executed.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

from typing_extensions import override

from flows.execution.executor import Executor
from olmix_core.serialization import JsonRecord
from olmix_core.storage.store import Store
from tasks.runtime.step import Call, Estimate, P, R, Step

READERS = 16  # results looked for at once: mostly waiting, where the store is remote


class Unpredictable(Exception):
    """A result is needed that only execution can tell."""


@dataclass(frozen=True)
class Entry:
    """One result that the chain asked for.

    Attributes:
        step: Name of the step.
        payload: Its payload.
        key: Its key.
        label: Its label; "" where it has none.
        cached: Whether it is there.
        code_version: That of the step.
    """

    step: str
    payload: JsonRecord
    key: str
    label: str
    cached: bool
    code_version: int


@dataclass(frozen=True)
class Counts:
    """Results of a step that are to be executed, and those that are cached."""

    executed: int = 0
    cached: int = 0


Lookups = dict[tuple[str, str], JsonRecord | None]


class DryRun(Executor):
    """The executor of a dry run: it looks results up, and predicts those that are missing.

    `run_all` raises Unpredictable where a result is missing and cannot be predicted.

    Attributes:
        entries: What the chain asked for, in order.
        lookups: {(step, key): result} of what was looked up; None where there is no result. Dry runs of the same
            store may share it.
    """

    def __init__(self, store: Store, lookups: Lookups | None = None) -> None:
        super().__init__(store)
        self.entries: list[Entry] = []
        self.lookups: Lookups = {} if lookups is None else lookups

    @override
    def carry_out(self, step: Step[P, R], calls: Sequence[Call[P]], keys: Sequence[str]) -> list[R]:
        new = [key for key in keys if (step.name, key) not in self.lookups]
        with ThreadPoolExecutor(READERS) as pool:
            for key, stored in zip(new, pool.map(lambda key: step.known(self.store, key), new), strict=True):
                self.lookups[step.name, key] = stored
        results: list[R | None] = []
        for call, key in zip(calls, keys, strict=True):
            result = cast(R | None, self.lookups[step.name, key])
            label, is_cached = str(call.where.get("label", "")), result is not None
            self.entries.append(
                Entry(step.name, call.payload, key, label, is_cached, step.code_version),
            )
            results.append(result if result is not None else self._predict(step, call, key))
        if any(result is None for result in results):
            raise Unpredictable(step.name)
        return [result for result in results if result is not None]

    def _predict(self, step: Step[P, R], call: Call[P], key: str) -> R | None:
        if step.forecast is None:
            return None
        if step.forecast == "compute":
            return step.function(call.payload, self.store, **call.where)
        predicted = step.forecast(call.payload, key, call.where)
        if isinstance(predicted, Estimate):
            self.estimated = True
            return predicted.result
        return predicted

    def counts(self) -> dict[str, Counts]:
        """Count the results that the chain asked for.

        Returns:
            {step: counts}.
        """
        counts: dict[str, Counts] = {}
        for entry in self.entries:
            before = counts.get(entry.step, Counts())
            executed, cached = (0, 1) if entry.cached else (1, 0)
            counts[entry.step] = Counts(before.executed + executed, before.cached + cached)
        return counts
