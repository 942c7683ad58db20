"""The chain of steps in this process, without Prefect's engine: same store, same keys, same result files."""

from collections.abc import Iterable
from typing import Any

from prefect.results import ResultRecord, ResultRecordMetadata

from flows.execution.executor import Call
from flows.pipeline.draft import propose_mix
from olmix_core.config.config import Config
from olmix_core.mixes.publish import publish
from olmix_core.planning.preflight import resolve_inputs
from olmix_core.storage.layout import payload_path, result_key
from olmix_core.storage.store import Store
from olmix_core.workers.cancellation import until_stopped
from tasks.runtime import progress
from tasks.runtime.results import SERIALIZER, StoreResults, known_result
from tasks.runtime.step import Payload, Result, Step


class InlineExecutor:
    """Runs steps one after another; results that are in the store are not computed again.

    It writes results as Prefect does, so that a run of the flow finds them cached, and the other way round.
    """

    def __init__(self, store: str) -> None:
        self.store = store
        self.estimated = False
        self.keys: dict[str, list[str]] = {}

    def run_all(self, step: Step, calls: Iterable[Call]) -> list[Result]:
        """Results in order. Raises the first error after all calls have ended."""
        calls, tracked = list(calls), progress.current()
        tracked.expect(step.name, len(calls))
        keys = [step.key(payload) for payload, _ in calls]
        recorded = self.keys.setdefault(step.name, [])
        recorded += dict.fromkeys(key for key in keys if key not in recorded)
        results, errors = [], []
        for (payload, where), key in zip(calls, keys, strict=True):
            result = known_result(Store(self.store), result_key(step.name, key))
            cached = result is not None
            if result is None:
                tracked.started(step.name)
                try:
                    result = self._execute(step, key, payload, where)
                except Exception as error:
                    errors.append(error)
            tracked.finished(step.name, cached=cached, failed=result is None)
            if result is not None:
                results.append(result)
        if errors:
            raise errors[0]
        return results

    def run(self, step: Step, payload: Payload, **where: Any) -> Result:
        """The result for one payload."""
        return self.run_all(step, [(payload, where)])[0]

    def _execute(self, step: Step, key: str, payload: Payload, where: dict[str, Any]) -> Result:
        result = step.function(payload, self.store, **where)
        record = {"step": step.name, "code_version": step.code_version, "payload": payload}
        Store(self.store).write_json(payload_path(step.name, key), record)
        path = result_key(step.name, key)
        metadata = ResultRecordMetadata(storage_key=path, serializer=SERIALIZER)
        kept = ResultRecord[Result](result=result, metadata=metadata)
        StoreResults(url=self.store).write_path(path, kept.serialize())
        return result


def run_inline(config: Config, config_file: str) -> dict[str, Any]:
    """Do what `flows.mix.run_mix` does, without a Prefect server and without a report; returns mix.json."""
    store, tracked = Store(config.store), progress.current()
    store.preflight()
    with until_stopped():
        draft = propose_mix(config, config_file, resolve_inputs(config, config_file), InlineExecutor(config.store))
    tracked.expect("publish", 1)
    published = publish(store, draft, tracked.accounting())
    tracked.finished("publish")
    return published.to_json()
