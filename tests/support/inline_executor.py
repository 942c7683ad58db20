"""The chain of steps in this process, without Prefect's engine: same store, same keys, same result files."""

from collections.abc import Sequence
from typing import Any

from prefect.results import ResultStore
from typing_extensions import override

from flows.execution.executor import Executor
from flows.pipeline.draft import propose_mix
from olmix_core.config.config import Config
from olmix_core.mixes.publish import publish_mix
from olmix_core.planning.preflight import resolve_inputs
from olmix_core.storage.layout import result_key
from olmix_core.storage.store import Store
from olmix_core.workers.cancellation import until_stopped
from tasks.runtime import progress
from tasks.runtime.results import SERIALIZER, StoreResults
from tasks.runtime.step import Call, P, R, Step


class InlineExecutor(Executor):
    """Runs steps one after another; results that are in the store are not computed again.

    It writes results as Prefect does, so that a run of the flow finds them cached, and the other way round.
    """

    @override
    def carry_out(self, step: Step[P, R], calls: Sequence[Call[P]], keys: Sequence[str]) -> list[R]:
        tracked = progress.current()
        tracked.expect(step.name, len(calls))
        results, errors = [], []
        for call, key in zip(calls, keys, strict=True):
            result = step.known(self.store, key)
            cached = result is not None
            if result is None:
                tracked.started(step.name)
                try:
                    result = step.execute(call.payload, self.store, **call.where)
                    self._keep(step, key, result)
                except Exception as error:
                    errors.append(error)
            tracked.finished(step.name, cached=cached, failed=result is None)
            if result is not None:
                results.append(result)
        if errors:
            raise errors[0]
        return results

    def _keep(self, step: Step[P, R], key: str, result: R) -> None:
        path = result_key(step.name, key)
        storage = StoreResults(url=self.store.url)
        results = ResultStore(result_storage=storage, serializer=SERIALIZER)
        storage.write_path(path, results.create_result_record(result.to_json(), path).serialize())


def run_inline(config: Config, config_file: str) -> dict[str, Any]:
    """Do what `flows.mix.run_mix` does, without a Prefect server and without a report; returns mix.json."""
    store, tracked = Store(config.store), progress.current()
    store.preflight()
    with until_stopped():
        draft = propose_mix(config, config_file, resolve_inputs(config, config_file), InlineExecutor(store))
    tracked.expect("publish", 1)
    published = publish_mix(store, draft, tracked.accounting())
    tracked.finished("publish")
    return published.to_json()
