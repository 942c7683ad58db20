"""A dry run: the same chain of steps, carried out by looking into the cache only. Nothing is started, nothing written.

Where a result is missing it is predicted, if that takes no time (plan, swarm) or if what follows needs only its key
(train); a leaf that was never counted is estimated from its size. What depends on a result that cannot be predicted
will be executed.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from flows.execution.executor import Call
from flows.pipeline.pipeline import run_chain
from flows.pipeline.run_state import RunState
from olmix_core.config.config import Config
from olmix_core.data.formats import text_bytes
from olmix_core.planning.base import find_base
from olmix_core.planning.preflight import ResolvedInputs, resolve_inputs
from olmix_core.storage.layout import result_key
from olmix_core.storage.store import Store
from tasks.runtime.results import known_result
from tasks.runtime.step import Payload, Result, Step

# Until a tokenizer is known: a small BPE makes about one token of three bytes of text.
BYTES_PER_TOKEN = 3.0

READERS = 16  # results looked for at once: mostly waiting, where the store is remote
AFTER_EVALUATION = ("evidence", "fit", "propose")


class Unpredictable(Exception):
    """A result is needed that only execution can tell."""


@dataclass(frozen=True)
class Entry:
    """One result of a step: its payload and key, and whether it is there."""

    step: str
    payload: Payload
    key: str
    label: str
    cached: bool
    code_version: int


@dataclass
class DryRun:
    """The executor of a dry run; `entries` are what the chain asked for, in order."""

    store: str
    entries: list[Entry] = field(default_factory=list)
    estimated: bool = False  # whether a number of tokens is an estimate

    def run_all(self, step: Step, calls: Iterable[Call]) -> list[Result]:
        results: list[Result | None] = []
        calls = list(calls)
        keys = [step.key(payload) for payload, _ in calls]
        with ThreadPoolExecutor(READERS) as pool:
            cached = list(pool.map(lambda key: self._cached(step.name, key), keys))
        for (payload, where), key, result in zip(calls, keys, cached, strict=True):
            label, found = str(where.get("label", "")), result is not None
            self.entries.append(Entry(step.name, payload, key, label, found, step.code_version))
            results.append(result if result is not None else self._predicted(step, payload, key, where))
        if any(result is None for result in results):
            raise Unpredictable(step.name)
        return [result for result in results if result is not None]

    def run(self, step: Step, payload: Payload, **where: Any) -> Result:
        return self.run_all(step, [(payload, where)])[0]

    def _cached(self, step: str, key: str) -> Result | None:
        return known_result(Store(self.store), result_key(step, key))

    def _predicted(self, step: Step, payload: Payload, key: str, where: dict[str, Any]) -> Result | None:
        if step.name in ("plan", "swarm", "choose"):
            return step.function(payload, self.store, **where)
        if step.name == "tokenizer":
            return {"fingerprint": "not made yet", "vocab_size": payload.get("vocab_size", 0)}
        if step.name == "train":
            return {"proxy": key, "tokens": 0, "seconds": 0.0}
        if step.name == "statistics":
            self.estimated = True
            size = sum(text_bytes(file["url"], file["size"]) for file in where["files"])
            tokens = max(1, int(size / BYTES_PER_TOKEN))
            counts = {"documents": 0, "bytes": size, "tokens": tokens, "heldout_bytes": size}
            return {"statistics": {**counts, "heldout_tokens": 0}}
        return None

    def counts(self) -> dict[str, dict[str, int]]:
        """{step: {executed, cached}}."""
        found: dict[str, dict[str, int]] = {}
        for entry in self.entries:
            counts = found.setdefault(entry.step, {"executed": 0, "cached": 0})
            counts["cached" if entry.cached else "executed"] += 1
        return found


@dataclass(frozen=True)
class Forecast:
    """What a run would do. `reached` is false where a step has to be executed to know what comes after it."""

    inputs: ResolvedInputs
    outcome: RunState
    run: DryRun
    reached: bool

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """{step: {executed, cached}}, publish left out."""
        counts = self.run.counts()
        if not self.reached:
            for step in AFTER_EVALUATION:
                counts.setdefault(step, {"executed": 1, "cached": 0})
            for step, each in (("train", 1), ("evaluate", len(self.inputs.tasks))):
                if self.outcome.to_come:
                    counts.setdefault(step, {"executed": 0, "cached": 0})["executed"] += each * self.outcome.to_come
        return counts

    @property
    def is_nothing(self) -> bool:
        """Whether everything is cached."""
        return all(not count["executed"] for count in self.counts.values())


def forecast(config: Config, config_file: str, inputs: ResolvedInputs | None = None) -> Forecast:
    """Find out what running `config` would execute. Raises OlmixError where it would."""
    inputs = inputs or resolve_inputs(config, config_file)
    run, outcome = DryRun(config.store), RunState(find_base(config, inputs))
    try:
        run_chain(config, config_file, inputs, run, outcome)
    except Unpredictable:
        return Forecast(inputs, outcome, run, reached=False)
    return Forecast(inputs, outcome, run, reached=True)
