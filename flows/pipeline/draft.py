"""A run of the chain that ends in a draft of the mix, ready to be published."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from flows.execution.executor import Executor
from flows.pipeline.context import RunContext
from flows.pipeline.payloads import tokenizer_settings
from flows.pipeline.pipeline import run_chain
from flows.pipeline.run_state import RunState
from olmix_core.config.config import Config
from olmix_core.mixes.draft import MixDraft
from olmix_core.mixes.runs import from_parquet
from olmix_core.planning.base import find_base
from olmix_core.planning.preflight import ResolvedInputs
from olmix_core.storage.layout import (
    DIAGNOSTICS_FILE,
    RUNS_FILE,
    SURROGATE_FILE,
    TRADE_OFFS_FILE,
    fit_path,
    proposal_path,
)
from olmix_core.storage.results import file_of
from olmix_core.surrogate.fit import load as load_surrogate
from tasks.runtime import progress


class RecordingExecutor(Executor, Protocol):
    """An executor that records the keys of the results it returned, {step: keys}."""

    keys: dict[str, list[str]]


def propose_mix(config: Config, config_file: str, inputs: ResolvedInputs, executor: RecordingExecutor) -> MixDraft:
    """Run the chain of steps with `executor`.

    Args:
        config: The configuration.
        config_file: Its path, for error messages.
        inputs: What the configuration refers to, as resolved for this run.
        executor: Runs the steps and keeps their results.

    Returns:
        Everything that is published of the mix.

    Raises:
        OlmixError: if a step fails.
    """
    state, tracked = RunState(find_base(config, inputs)), progress.current()
    context = RunContext(config, config_file, inputs, executor, state)
    run_chain(context)
    tracked.reuse("plan", len(state.plan.kept))
    tracked.reuse("evidence", state.carried_over)
    return _draft(context, executor.keys)


def _draft(context: RunContext, keys: Mapping[str, Sequence[str]]) -> MixDraft:
    config, inputs, store, state = context.config, context.inputs, context.store, context.state
    base, fit, proposal, request = state.base, state.fit, state.proposal, state.request
    assert request is not None  # set before the swarm is trained
    return MixDraft(
        name=config.name,
        domains=inputs.domains,
        tasks=inputs.tasks,
        statistics=state.statistics,
        natural=state.natural,
        proposal=proposal.to_json(),
        wish=request.to_json(),
        surrogate=load_surrogate(store.read_json(fit_path(fit.fit, SURROGATE_FILE))),
        diagnostics=file_of(store, fit.files, fit_path(fit.fit, DIAGNOSTICS_FILE)),
        trade_offs=file_of(store, proposal.files, proposal_path(proposal.proposal, TRADE_OFFS_FILE)),
        runs=from_parquet(file_of(store, fit.files, fit_path(fit.fit, RUNS_FILE))),
        plan=state.plan.to_json(),
        base=base.record.version if base.record else None,
        change=base.change,
        splits=state.splits,
        contents=state.contents,
        origins=base.origins,
        target_tokens=proposal.target_tokens,
        tokenizer={"settings": tokenizer_settings(config, inputs).to_json(), "fingerprint": state.tokenizer},
        settings={
            "proxy": inputs.recipe.identity(),
            **config.model_dump(include={"swarm", "surrogate", "proposal", "reuse"}),
        },
        proxies=[proxy.to_json() for proxy in state.trained],
        excluded=state.excluded,
        carried_over=state.carried_over,
        swarms=[swarm.to_json() for swarm in fit.swarms],
        pool=state.pool.pin(),
        pooled=state.pool.proxies,
        left_out=state.left_out,
        evidence=state.evidence,
        evaluation_seconds=state.evaluation_seconds,
        standard_errors=state.standard_errors,
        keys=keys,
    )
