"""A run of the chain that ends in a draft of the mix, ready to be published."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from flows.execution.executor import Executor
from flows.pipeline.pipeline import run_chain, tokenizer_settings
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
from olmix_core.storage.store import Store
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
    run_chain(config, config_file, inputs, executor, state)
    tracked.reuse("plan", len(state.plan["kept"]))
    tracked.reuse("evidence", state.carried_over)
    return _draft(config, inputs, state, executor.keys)


def _draft(config: Config, inputs: ResolvedInputs, state: RunState, keys: Mapping[str, Sequence[str]]) -> MixDraft:
    store, base, fit = Store(config.store), state.base, state.fit["fit"]
    return MixDraft(
        name=config.name,
        domains=inputs.domains,
        tasks=inputs.tasks,
        statistics=state.statistics,
        natural=state.natural,
        proposal=state.proposal,
        wish=state.wish,
        surrogate=load_surrogate(store.read_json(fit_path(fit, SURROGATE_FILE))),
        diagnostics=file_of(store, state.fit, fit_path(fit, DIAGNOSTICS_FILE)),
        trade_offs=file_of(store, state.proposal, proposal_path(state.proposal["proposal"], TRADE_OFFS_FILE)),
        runs=from_parquet(file_of(store, state.fit, fit_path(fit, RUNS_FILE))),
        plan=state.plan,
        base=base.record.version if base.record else None,
        change=base.change,
        splits=state.splits,
        contents=state.contents,
        origins=base.origins,
        target_tokens=state.proposal["target_tokens"],
        tokenizer={"settings": tokenizer_settings(config, inputs), "fingerprint": state.tokenizer},
        settings={
            "proxy": inputs.recipe.identity(),
            **config.model_dump(include={"swarm", "surrogate", "proposal", "reuse"}),
        },
        proxies=state.trained,
        excluded=state.excluded,
        carried_over=state.carried_over,
        swarms=state.fit["swarms"],
        pool=state.pool.pin(),
        pooled=state.pool.proxies,
        left_out=state.left_out,
        evidence=state.evidence,
        evaluation_seconds=state.evaluation_seconds,
        standard_errors=state.standard_errors,
        keys=keys,
    )
