"""The flow that draws the mixtures of a swarm without training on them, for other trainers."""

from collections.abc import Sequence

from prefect import flow
from typing_extensions import override

from flows.execution.executor import PrefectExecutor
from flows.execution.prefect_server import check_server
from flows.pipeline.context import RunContext
from flows.pipeline.pipeline import run_chain
from olmix_core.config.config import Config
from olmix_core.planning.preflight import ResolvedInputs
from tasks.runtime.artifacts import Artifacts
from tasks.runtime.step import Call, P, R, Step
from tasks.steps.train import TrainPayload, train


class _Drawn(Exception):
    """The chain has come to training; `mixtures` are those to train on."""

    def __init__(self, mixtures: list[dict[str, float]]) -> None:
        self.mixtures = mixtures


class _ExecutorUntilTraining(PrefectExecutor):
    """Runs steps as Prefect tasks, and raises _Drawn before a proxy is trained."""

    @override
    def carry_out(self, step: Step[P, R], calls: Sequence[Call[P]], keys: Sequence[str]) -> list[R]:
        if step is train:
            payloads = (call.payload for call in calls)
            raise _Drawn([dict(payload.mixture) for payload in payloads if isinstance(payload, TrainPayload)])
        return super().carry_out(step, calls, keys)


def draw_swarm(config: Config, config_file: str, inputs: ResolvedInputs) -> list[dict[str, float]]:
    """Draw the mixtures that a run would train on; the steps that they depend on are executed.

    Args:
        config: The configuration.
        config_file: Its path, for error messages.
        inputs: What the configuration refers to.

    Returns:
        {content: weight} for each proxy; empty if the plan leaves nothing to explore.

    Raises:
        OlmixError: If a step fails.
    """
    check_server()
    store = inputs.store
    store.preflight()

    @flow(name="swarm", flow_run_name=config.name, persist_result=False)
    def draw() -> list[dict[str, float]]:
        artifacts = Artifacts(config.name, store, inputs.domains.labels)
        executor = _ExecutorUntilTraining(store, artifacts, config.execution)
        try:
            run_chain(RunContext.begin(config, config_file, inputs, executor))
        except _Drawn as drawn:
            return drawn.mixtures
        return []

    mixtures: list[dict[str, float]] = draw()
    return mixtures
