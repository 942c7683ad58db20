"""The chain of steps: what each depends on, from a configuration to a proposed mixture.

    tokenizer -> statistics (a leaf) -> overlap -> plan -> swarm -> train (a mixture)
              -> evaluate (a proxy and a task) -> evidence -> fit [-> transfer] -> propose

A swarm may be trained in rounds: from the law of one round, `choose` gives the mixtures of the next. If the
configuration states the size of the target run, `transfer` carries the law there.
The chain is written once and carried out by an executor: for real (the flow), or as a dry run.
"""

from collections.abc import Sequence
from dataclasses import replace

from flows.pipeline.context import RunContext
from flows.pipeline.payloads import proposal_request, reuse_base, round_sizes, swarm_payload, tokenizer_settings
from flows.pipeline.swarm_round import SwarmProgress, train_round
from flows.pipeline.target import carry_to_target, train_anchors
from flows.pipeline.task_text import task_text
from olmix_core.config.tokenizer import TokenizerFile, TrainedBPE
from olmix_core.data.corpus import LeafStatistics
from olmix_core.data.domains import Leaf
from olmix_core.data.overlap import Overlap
from olmix_core.evidence.atoms import extend_splits
from olmix_core.evidence.pooling import PinnedEvidence, evidence_of_versions
from olmix_core.evidence.rows import EvidenceRow
from olmix_core.identity import step_key
from olmix_core.mixes.versions import read_latest
from olmix_core.mixture import LeafIndex, Mixture
from olmix_core.mixture import natural as natural_mixture
from olmix_core.planning.exclusions import check_exclusions
from olmix_core.planning.preflight import check_statistics
from olmix_core.storage.layout import corpus_folder, tokenizer_path
from tasks.runtime.artifacts import Where
from tasks.runtime.step import Call
from tasks.steps.evaluate import evaluate
from tasks.steps.fit import FitPayload, fit
from tasks.steps.next_round import NextRoundPayload, next_round
from tasks.steps.overlap import OverlapPayload, overlap
from tasks.steps.plan import PlanPayload, plan
from tasks.steps.propose import ProposePayload, propose
from tasks.steps.statistics import StatisticsPayload, statistics
from tasks.steps.swarm import SwarmPayload, swarm
from tasks.steps.tokenizer import TokenizerPayload, tokenizer


def run_chain(context: RunContext) -> None:
    """Carry out the steps up to the proposal.

    Args:
        context: The run; its state is filled as steps end.

    Raises:
        OlmixError: A step failed.
    """
    state, inputs, executor = context.state, context.inputs, context.executor
    state.tokenizer = _make_tokenizer(context)
    state.statistics = _count_leaves(context)
    if not executor.estimated:
        check_statistics(context.config, context.config_file, inputs, state.statistics)
    state.overlap = _find_overlap(context)
    if not executor.estimated:
        check_exclusions(inputs, state.statistics, state.overlap)
    state.task_text = task_text(context)
    state.tokens = {
        leaf.fingerprint: leaf.represented(state.statistics[leaf.fingerprint].available)
        for leaf in inputs.domains.leaves
    }
    state.natural = LeafIndex(tuple(state.tokens)).mapping(natural_mixture(list(state.tokens.values())))
    _carry_over(context)
    state.plan = executor.run(
        plan,
        PlanPayload(inputs.domains.free_columns, context.config.swarm.runs, reuse_base(context)),
        rows=state.lineage.rows,
        files={leaf.fingerprint: leaf.files for leaf in inputs.domains.leaves},
    )
    state.request = proposal_request(context)
    fitted, larger = _train_swarm(context)
    carry_to_target(context, fitted, larger, _corpora(context))
    state.proposal = executor.run(
        propose,
        ProposePayload(state.fit.fit, state.request, state.transfer.transfer or None),
        labels=inputs.domains.labels,
        bound_names=list(inputs.bounds.names),
    )


def _make_tokenizer(context: RunContext) -> str:
    """The fingerprint of the tokenizer: that of the last version of this mix, where its settings are the same."""
    config, store = context.config, context.store
    settings = tokenizer_settings(config, context.inputs)
    last = read_latest(store, config.name)
    if last is not None:
        frozen = last.tokenizer
        if frozen.settings.to_json() == settings.to_json() and store.exists(tokenizer_path(frozen.fingerprint)):
            return frozen.fingerprint
    leaves = context.inputs.domains.leaves if isinstance(config.tokenizer, TrainedBPE) else ()
    result = context.executor.run(
        tokenizer,
        TokenizerPayload(settings, [leaf.fingerprint for leaf in leaves]),
        file=config.tokenizer.path if isinstance(config.tokenizer, TokenizerFile) else None,
        leaves=[leaf.files for leaf in leaves],
    )
    return result.fingerprint


def _count_leaves(context: RunContext) -> dict[str, LeafStatistics]:
    """Statistics by leaf, in the order of the leaves."""
    leaves, fingerprint = context.inputs.domains.leaves, context.state.tokenizer
    calls = [Call(StatisticsPayload(leaf.fingerprint, fingerprint), _statistics_where(leaf)) for leaf in leaves]
    results = context.executor.run_all(statistics, calls)
    return {leaf.fingerprint: result.statistics for leaf, result in zip(leaves, results, strict=True)}


def _statistics_where(leaf: Leaf) -> Where:
    shown = {"skipped": leaf.skipped, "sample": leaf.sample}
    return {"label": leaf.label, "files": leaf.files, **{name: value for name, value in shown.items() if value}}


def _find_overlap(context: RunContext) -> Overlap:
    """What is held out of leaves, or of tasks, and stands in leaves.

    A trainer of the user's own reads the files, and measures on text of its own: only copies of documents are told.
    """
    tasks = {task.fingerprint: task.source for task in context.inputs.tasks if task.source.has_documents}
    found = context.executor.run(
        overlap,
        OverlapPayload(sorted(context.state.statistics), context.state.tokenizer, sorted(tasks)),
        corpora=_corpora(context),
        tasks=tasks,
        earlier=_earlier_overlap(context),
    ).overlap
    return found if context.config.proxy.trainer is None else found.without_exclusions()


def _earlier_overlap(context: RunContext) -> Overlap:
    """What the last version found, by which a dry run predicts what this one finds."""
    last = read_latest(context.store, context.config.name)
    keys = last.step_keys.get(overlap.name, ()) if last is not None else ()
    results = [overlap.known(context.store, key) for key in keys[-1:]]
    return next((result.overlap for result in results if result is not None), Overlap())


def _corpora(context: RunContext) -> dict[str, str]:
    """{leaf: folder of its tokens}."""
    tokenizer = context.state.tokenizer
    return {
        leaf: corpus_folder(statistics.key(StatisticsPayload(leaf, tokenizer))) for leaf in context.state.statistics
    }


def _carry_over(context: RunContext) -> None:
    """Find the evidence of the versions that are built on, and how its leaves are written now.

    Only evidence of the same kind as the proxies of this run is carried over.
    """
    state, base, leaves = context.state, context.state.base, context.inputs.domains.leaves
    if base.record is None or base.change is None or not context.config.reuse.builds_on_base:
        return
    tokens = {leaf.fingerprint: leaf.represented for leaf in base.record.domain_set}
    files = {leaf.fingerprint: leaf.contents for leaf in base.record.domain_set}
    files |= {leaf.fingerprint: leaf.contents for leaf in leaves}
    state.splits, state.contents = extend_splits(
        base.splits,
        base.change.partitioned,
        base.change.merged,
        {**tokens, **state.tokens},
        {**base.record.contents, **files},
    )
    pinned = PinnedEvidence(base.record.evidence, base.record.pool.evidence)
    state.lineage = evidence_of_versions(
        context.store, pinned, context.recipe, state.tokenizer, evaluate.code_version, state.task_text
    )


def _train_swarm(context: RunContext) -> tuple[FitPayload, list[EvidenceRow]]:
    """Train the swarm, in rounds where the configuration asks for them, and fit the law after each.

    Returns what the last law is fitted to, and the larger proxies, not measured yet.
    """
    state, executor = context.state, context.executor
    first = swarm_payload(context)
    mixtures = executor.run(swarm, first).mixtures if first else ()
    progress = SwarmProgress(swarm.key(first) if first else "", _corpora(context))
    anchors = train_anchors(context, mixtures, progress.corpora)
    sizes = round_sizes(context.config, state.plan.runs)
    for number in range(len(sizes)):
        state.to_come = sizes[number + 1 :]
        fitted = train_round(context, progress, mixtures)
        mixtures = _fit_and_choose(context, first, fitted, number + 1)
        if not mixtures:
            break
    state.to_come = ()
    return fitted, anchors


def _fit_and_choose(
    context: RunContext, first: SwarmPayload | None, fitted: FitPayload, number: int
) -> Sequence[Mixture]:
    """Fit the law and choose the mixtures of the next round; none where there is none.

    Mixtures that an earlier version of `fit` chose stand, since their proxies are trained; no law is fitted for them.
    """
    state, executor = context.state, context.executor
    if not state.to_come or first is None or state.request is None:
        state.fit = executor.run(fit, fitted)
        return ()
    label = f"round {number + 1}"
    payload = NextRoundPayload(
        fit=fit.key(fitted),
        request=state.request,
        swarm=first,
        round=number,
        count=state.to_come[0],
        tolerance=context.config.swarm.tolerance,
    )
    earlier = _chosen_before(context, payload, fitted)
    if earlier is not None and (mixtures := executor.run(next_round, earlier, label=label).mixtures):
        return mixtures
    state.fit = executor.run(fit, fitted)
    return () if earlier is not None else executor.run(next_round, payload, label=label).mixtures


def _chosen_before(context: RunContext, payload: NextRoundPayload, fitted: FitPayload) -> NextRoundPayload | None:
    """The payload by which an earlier version of `fit` chose this round; None where none did."""
    contents = (fitted.to_json(), replace(fitted, pool=None).to_json())
    keys = [step_key(fit.name, version, content) for version in range(1, fit.code_version) for content in contents]
    candidates = (replace(payload, fit=key) for key in keys)
    return next((one for one in candidates if next_round.known(context.store, next_round.key(one)) is not None), None)
