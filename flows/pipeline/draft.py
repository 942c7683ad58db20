"""A run of the chain that ends in a draft of the mix, ready to be published."""

from collections.abc import Mapping, Sequence

from flows.execution.executor import Executor
from flows.pipeline.context import RunContext
from flows.pipeline.payloads import tokenizer_settings
from flows.pipeline.pipeline import run_chain
from olmix_core.config.config import Config
from olmix_core.mixes.draft import Descent, FittedLaw, MixDraft, ProposedMixture, SwarmProxy, SwarmSummary
from olmix_core.mixes.record_parts import PlanRecord, SolverRecord, SwarmRecord
from olmix_core.mixes.record_settings import MixSettings, TokenizerRecord
from olmix_core.mixes.runs import from_parquet
from olmix_core.planning.preflight import ResolvedInputs
from olmix_core.storage.layout import (
    DIAGNOSTICS_FILE,
    RUNS_FILE,
    SURROGATE_FILE,
    TARGET_FILE,
    TRADE_OFFS_FILE,
    fit_path,
    proposal_path,
    target_path,
)
from olmix_core.storage.results import file_of
from olmix_core.surrogate.fit import load as load_surrogate
from olmix_core.surrogate.scaling.target_json import read_target
from olmix_core.surrogate.scaling.target_surrogate import TargetSurrogate
from tasks.runtime import progress
from tasks.steps.evidence import evidence
from tasks.steps.plan import plan


def propose_mix(config: Config, config_file: str, inputs: ResolvedInputs, executor: Executor) -> MixDraft:
    """Run the chain of steps with `executor`.

    Args:
        config: The configuration.
        config_file: Its path, for error messages.
        inputs: What the configuration refers to, as resolved for this run.
        executor: Runs the steps and keeps their results.

    Returns:
        Everything that is published of the mix.

    Raises:
        OlmixError: If a step fails.
    """
    context, tracked = RunContext.begin(config, config_file, inputs, executor), progress.current()
    run_chain(context)
    state = context.state
    tracked.reuse(plan.name, len(state.plan.kept))
    tracked.reuse(evidence.name, state.carried_over)
    return _draft(context, executor.keys)


def _draft(context: RunContext, keys: Mapping[str, Sequence[str]]) -> MixDraft:
    config, inputs, state = context.config, context.inputs, context.state
    tokenizer = {"settings": tokenizer_settings(config, inputs).to_json(), "fingerprint": state.tokenizer}
    sections = config.model_dump(include={"swarm", "surrogate", "proposal", "reuse"})
    base = state.base
    return MixDraft(
        name=config.name,
        domains=inputs.domains,
        tasks=inputs.tasks,
        statistics=state.statistics,
        overlap=state.overlap,
        natural=state.natural,
        settings=MixSettings.model_validate({"proxy": inputs.recipe.identity(), **sections}),
        tokenizer=TokenizerRecord.model_validate(tokenizer),
        proposal=_proposal(context),
        law=_law(context),
        target=_target(context),
        swarm=SwarmSummary(
            proxies=[SwarmProxy(run.proxy, run.parameters, run.tokens, run.seconds) for run in state.trained],
            excluded=state.excluded,
            standard_errors=state.standard_errors,
            evaluation_seconds=state.evaluation_seconds,
        ),
        descent=Descent(
            base=base.record.version if base.record else None,
            change=base.change,
            plan=PlanRecord.model_validate(state.plan.to_json()),
            splits=state.splits,
            contents=state.contents,
            origins=base.origins,
        ),
        keys=keys,
    )


def _proposal(context: RunContext) -> ProposedMixture:
    result, request = context.state.proposal, context.state.request
    assert request is not None  # set before the swarm is trained
    return ProposedMixture(
        key=result.proposal,
        request=request,
        target_tokens=result.target_tokens,
        weights=result.weights,
        caps=result.caps,
        at_cap=result.at_cap,
        shadow_prices=result.shadow_prices,
        sequences=result.sequences,
        loosened=result.loosened,
        full_reuse=result.full_reuse,
        solver=SolverRecord(status=result.status, gap=result.gap, residual=result.residual),
        trade_offs=file_of(context.store, result.files, proposal_path(result.proposal, TRADE_OFFS_FILE)),
    )


def _target(context: RunContext) -> TargetSurrogate | None:
    key = context.state.transfer.transfer
    return read_target(context.store.read_json(target_path(key, TARGET_FILE))) if key else None


def _law(context: RunContext) -> FittedLaw:
    state, fit, store = context.state, context.state.fit, context.store
    return FittedLaw(
        surrogate=load_surrogate(store.read_json(fit_path(fit.fit, SURROGATE_FILE))),
        diagnostics=file_of(store, fit.files, fit_path(fit.fit, DIAGNOSTICS_FILE)),
        runs=from_parquet(file_of(store, fit.files, fit_path(fit.fit, RUNS_FILE))),
        swarms=[SwarmRecord.model_validate(swarm.to_json()) for swarm in fit.swarms],
        evidence=state.evidence,
        pool=state.pool.pin(),
        pooled=state.pool.proxies,
        carried_over=state.carried_over,
        left_out=state.left_out,
    )
