"""The payloads that are made of the configuration and of what earlier steps found."""

from flows.pipeline.context import RunContext
from olmix_core.config.config import Config
from olmix_core.config.tokenizer import Bytes, TokenizerFile
from olmix_core.errors import ConfigError
from olmix_core.evidence.ledger import set_name
from olmix_core.planning.bounds import previous_as_reference
from olmix_core.planning.preflight import ResolvedInputs
from olmix_core.planning.reuse import CouplingInputs, ReuseBase
from olmix_core.proposal.request import ProposalRequest
from tasks.steps.fit import FOLDS
from tasks.steps.swarm import SwarmPayload
from tasks.steps.tokenizer import TokenizerSettings


def tokenizer_settings(config: Config, inputs: ResolvedInputs) -> TokenizerSettings:
    """Return what the tokenizer is, apart from the domains it is trained on.

    Args:
        config: The configuration.
        inputs: What it refers to.

    Returns:
        The settings.
    """
    settings = config.tokenizer
    if isinstance(settings, TokenizerFile):
        return TokenizerSettings(
            settings.kind, content=inputs.tokenizer_content, ignores=inputs.tokenizer_ignores or None, eos=settings.eos
        )
    if isinstance(settings, Bytes):
        return TokenizerSettings(settings.kind)
    return TokenizerSettings(settings.kind, vocab_size=settings.vocab_size)


def proposal_request(context: RunContext) -> ProposalRequest:
    """Build the proposal request.

    Args:
        context: The run, once its plan is there.

    Returns:
        The request.
    """
    state, inputs, settings = context.state, context.inputs, context.config.proposal
    return ProposalRequest(
        columns=state.plan.columns,
        reusable=state.plan.reusable or (),
        splits=state.splits,
        natural=state.natural,
        tokens=state.tokens,
        kl=settings.kl,
        target_tokens=settings.run_tokens,
        repetition=settings.repetition,
        pessimism=settings.pessimism,
        sequence_length=settings.sequence_length,
        bounds=inputs.bounds.bounds,
        reference=_reference(context),
        task_weights={task.fingerprint: task.weight for task in inputs.tasks},
    )


def _reference(context: RunContext) -> dict[str, float] | None:
    """What the mixture is pulled towards, by leaf; None for the natural mixture."""
    base, state = context.state.base, context.state
    if context.config.proposal.reference != "previous":
        return context.inputs.bounds.reference
    if base.record is None or base.change is None:
        return None
    return previous_as_reference(base.record.weights_by_content, base.change.revised, state.splits, state.natural)


def reuse_base(context: RunContext) -> ReuseBase | None:
    """Return what the plan depends on of the mix that it builds on.

    Args:
        context: The run, once the evidence of earlier versions is known.

    Returns:
        The base; None where there is nothing to keep.

    Raises:
        ConfigError: A leaf to release does not exist.
    """
    config, state = context.config, context.state
    base, rows = state.base, state.lineage.rows
    if base.record is None or base.change is None or not config.reuse.builds_on_base:
        return None
    by_label = {leaf.label: leaf.fingerprint for leaf in context.inputs.domains.leaves}
    for label in config.reuse.release:
        if label not in by_label:
            labels = ", ".join(sorted(by_label))
            raise ConfigError(context.config_file, "reuse.release", repr(label), f"one of the domains: {labels}")
    change = base.change
    origins = {new: {old: 1.0} for new, old in change.revised.items()}
    origins |= {part: {old: 1.0} for old, parts in change.partitioned.items() for part in parts}
    origins |= {new: dict(state.splits[new]) for new in change.merged if new in state.splits}
    return ReuseBase(
        weights={leaf: base.record.weights_by_content[leaf] for leaf in sorted(change.same)},
        affected=sorted(change.affected),
        added=sorted(change.added),
        origins=dict(sorted(origins.items())),
        release=sorted(by_label[label] for label in config.reuse.release),
        informed=bool(rows),
        coupling=CouplingInputs(set_name(rows), base.splits, state.tokenizer)
        if rows and config.reuse.is_automatic
        else None,
    )


def round_sizes(config: Config, runs: int) -> list[int]:
    """Return how many proxies each round of the swarm trains.

    Args:
        config: The configuration.
        runs: Proxies in all.

    Returns:
        Parts as equal as can be, each large enough to be validated by itself.
    """
    rounds = max(1, min(config.swarm.rounds, runs // FOLDS))
    return [runs // rounds + (number < runs % rounds) for number in range(rounds)]


def swarm_payload(context: RunContext) -> SwarmPayload | None:
    """Return how the first mixtures are drawn.

    Args:
        context: The run, once its plan is there.

    Returns:
        The payload; None where the plan leaves nothing to explore.
    """
    plan, settings = context.state.plan, context.config.swarm
    if plan.runs == 0:
        return None
    return SwarmPayload(
        columns=plan.columns,
        natural=context.state.natural,
        runs=round_sizes(context.config, plan.runs)[0],
        settings=settings.sampling,
        bounds={
            leaf.fingerprint: settings.bounds[leaf.label]
            for leaf in context.inputs.domains.leaves
            if leaf.label in settings.bounds
        },
    )
