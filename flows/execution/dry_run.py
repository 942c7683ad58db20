"""The executor of a dry run: it looks into the cache only. Nothing is started, nothing written.

Where a result is missing it is predicted, if its step says how (`Step.forecast`). What depends on a result that cannot
be predicted will be executed.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import cast

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


@dataclass
class DryRun(Executor):
    """The executor of a dry run.

    Attributes:
        store: The store.
        entries: What the chain asked for, in order.
        estimated: Whether a number of tokens is an estimate.
        lookups: {(step, key): result} of what was looked up; None where there is no result. Dry runs of the same
            store may share it.
    """

    store: Store
    entries: list[Entry] = field(default_factory=list)
    estimated: bool = False
    lookups: dict[tuple[str, str], JsonRecord | None] = field(default_factory=dict)

    def run_all(self, step: Step[P, R], calls: Iterable[Call[P]]) -> list[R]:
        """Look up the results of a step, and predict those that are missing.

        Args:
            step: The step.
            calls: Its payloads, and where things are.

        Returns:
            A result for each call, in order.

        Raises:
            Unpredictable: A result is missing and cannot be predicted.
        """
        calls = list(calls)
        keys = [step.key(call.payload) for call in calls]
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
