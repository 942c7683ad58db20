"""The chain of steps: what each depends on, from a configuration to a proposed mixture.

    tokenizer -> statistics (a leaf) -> plan -> swarm -> train (a mixture) -> evaluate (a proxy and a task)
              -> evidence -> fit -> propose

A swarm may be trained in rounds: from the law of one round, `choose` tells the mixtures of the next.
It is written once and carried out by an executor: for real (the flow), or as a dry run (what would be executed).
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from flows.execution.executor import Executor
from flows.pipeline.run_state import RunState
from flows.pipeline.swarm_round import train_round
from olmix_core.config.config import Config
from olmix_core.config.tokenizer import Bytes, TokenizerFile, TrainedBPE
from olmix_core.data.corpus import LeafStatistics
from olmix_core.errors import ConfigError
from olmix_core.evidence.atoms import extended
from olmix_core.evidence.ledger import set_name
from olmix_core.evidence.pooling import PinnedEvidence, evidence_of_versions
from olmix_core.evidence.rows import EvidenceRow
from olmix_core.mixes.record import read_latest
from olmix_core.mixture import natural as natural_mixture
from olmix_core.planning.bounds import previous_as_reference
from olmix_core.planning.preflight import ResolvedInputs, check_statistics
from olmix_core.storage.layout import corpus_folder, tokenizer_path
from olmix_core.storage.store import Store
from tasks.steps.evaluate import evaluate
from tasks.steps.fit import FOLDS
from tasks.steps.next_round import next_round
from tasks.steps.plan import plan
from tasks.steps.propose import propose
from tasks.steps.statistics import statistics
from tasks.steps.swarm import swarm
from tasks.steps.tokenizer import tokenizer


def run_chain(config: Config, config_file: str, inputs: ResolvedInputs, run: Executor, outcome: RunState) -> None:
    """Carry out the steps up to the proposal; `outcome` is filled as they end.

    Raises OlmixError.
    """
    domains, recipe = inputs.domains, inputs.recipe.identity()
    outcome.tokenizer = _tokenizer(config, inputs, run)
    outcome.statistics = _statistics(inputs, outcome.tokenizer, run)
    if not run.estimated:
        check_statistics(config, config_file, inputs, outcome.statistics)
    tokens = {leaf: one.available for leaf, one in outcome.statistics.items()}
    outcome.natural = dict(zip(tokens, natural_mixture(list(tokens.values())).tolist(), strict=True))

    _carry_over(config, inputs, outcome, recipe, tokens)
    outcome.plan = run.run(
        plan,
        {
            "units": domains.free_columns,
            "runs": config.swarm.runs,
            "base": _plan_base(config, config_file, inputs, outcome),
        },
        rows=outcome.lineage.rows,
        files={leaf.fingerprint: [asdict(file) for file in leaf.files] for leaf in domains.leaves},
    )
    first = _swarm(config, inputs, outcome)
    corpora = {
        leaf: corpus_folder(statistics.key({"content": leaf, "tokenizer": outcome.tokenizer})) for leaf in tokens
    }
    wish = _wish(config, inputs, outcome, tokens)
    mixtures: list[dict[str, float]] = run.run(swarm, first)["mixtures"] if first else []
    batch = swarm.key(first) if first else ""
    measured: dict[str, EvidenceRow] = {}
    sizes = _rounds(config, outcome.plan["runs"])
    for number in range(len(sizes)):
        outcome.to_come = sum(sizes[number + 1 :])
        train_round(config, inputs, outcome, run, batch, mixtures, measured, corpora)
        if number + 1 < len(sizes):
            asked = {"fit": outcome.fit["fit"], "wish": wish, "swarm": first, "round": number + 1}
            asked |= {"count": sizes[number + 1], "tolerance": config.swarm.tolerance}
            mixtures = run.run(next_round, asked, label=f"round {number + 2}")["mixtures"]
            if not mixtures:
                break
    outcome.to_come = 0
    outcome.wish = wish
    outcome.proposal = run.run(
        propose,
        {"fit": outcome.fit["fit"], **wish},
        labels=domains.labels,
        bound_names=list(inputs.bounds.names),
    )


def _wish(config: Config, inputs: ResolvedInputs, outcome: RunState, tokens: Mapping[str, int]) -> dict[str, Any]:
    """What is asked of the mixture."""
    return {
        "columns": outcome.plan["columns"],
        **({"reusable": outcome.plan["reusable"]} if outcome.plan["reusable"] else {}),
        "splits": outcome.splits,
        "natural": outcome.natural,
        "tokens": tokens,
        **config.proposal.model_dump(exclude={"bounds", "groups", "reference"}),
        "bounds": [[list(bound.leaves), bound.low, bound.high] for bound in inputs.bounds.bounds],
        "reference": _reference(config, inputs, outcome),
        "task_weights": {task.fingerprint: task.weight for task in inputs.tasks},
    }


def _reference(config: Config, inputs: ResolvedInputs, outcome: RunState) -> dict[str, float] | None:
    """What the mixture is pulled towards, by leaf; None for the natural mixture."""
    base = outcome.base
    if config.proposal.reference != "previous":
        return inputs.bounds.reference
    if base.record is None or base.change is None:
        return None
    return previous_as_reference(base.record.weights_by_content, base.change.revised, outcome.splits, outcome.natural)


def tokenizer_settings(config: Config, inputs: ResolvedInputs) -> dict[str, Any]:
    """What the tokenizer is, apart from the domains it is trained on."""
    settings = config.tokenizer
    if isinstance(settings, TokenizerFile):
        return {"kind": settings.kind, "content": inputs.tokenizer_content, "eos": settings.eos}
    if isinstance(settings, Bytes):
        return {"kind": settings.kind}
    return {"kind": settings.kind, "vocab_size": settings.vocab_size}


def _tokenizer(config: Config, inputs: ResolvedInputs, run: Executor) -> str:
    """The fingerprint of the tokenizer: that of the last version of this mix, where its settings are the same."""
    settings, store = tokenizer_settings(config, inputs), Store(config.store)
    last = read_latest(store, config.name)
    if last is not None:
        frozen = last.tokenizer
        if frozen.settings == settings and store.exists(tokenizer_path(frozen.fingerprint)):
            return frozen.fingerprint
    leaves = inputs.domains.leaves if isinstance(config.tokenizer, TrainedBPE) else ()
    made = run.run(
        tokenizer,
        {**settings, "leaves": [leaf.fingerprint for leaf in leaves]},
        file=config.tokenizer.path if isinstance(config.tokenizer, TokenizerFile) else None,
        leaves=[[asdict(file) for file in leaf.files] for leaf in leaves],
    )
    return str(made["fingerprint"])


def _statistics(inputs: ResolvedInputs, tokenizer_fingerprint: str, run: Executor) -> dict[str, LeafStatistics]:
    """Statistics by leaf, in the order of the leaves."""
    leaves = inputs.domains.leaves
    results = run.run_all(
        statistics,
        [
            (
                {"content": leaf.fingerprint, "tokenizer": tokenizer_fingerprint},
                {"label": leaf.label, "files": [asdict(file) for file in leaf.files]},
            )
            for leaf in leaves
        ],
    )
    return {leaf.fingerprint: LeafStatistics(**one["statistics"]) for leaf, one in zip(leaves, results, strict=True)}


def _carry_over(
    config: Config, inputs: ResolvedInputs, outcome: RunState, recipe: Mapping[str, Any], tokens: Mapping[str, int]
) -> None:
    """The evidence of the versions built on that is of the same kind as the proxies of today, and how its leaves are
    written now."""
    base = outcome.base
    if base.record is None or base.change is None or config.reuse.strategy == "full_recompute":
        return
    known = {leaf.fingerprint: leaf.available for leaf in base.record.domain_set}
    files = {leaf.fingerprint: leaf.contents for leaf in base.record.domain_set}
    files |= {leaf.fingerprint: leaf.contents for leaf in inputs.domains.leaves}
    outcome.splits, outcome.contents = extended(
        base.splits,
        base.change.partitioned,
        base.change.merged,
        {**known, **tokens},
        {**base.record.contents, **files},
    )
    pinned = PinnedEvidence(base.record.evidence, base.record.pool.evidence)
    outcome.lineage = evidence_of_versions(
        Store(config.store), pinned, recipe, outcome.tokenizer, evaluate.code_version
    )


def _plan_base(config: Config, config_file: str, inputs: ResolvedInputs, outcome: RunState) -> dict[str, Any] | None:
    """What of the base the plan depends on; None where there is nothing to keep."""
    base, strategy = outcome.base, config.reuse.strategy
    if base.record is None or base.change is None or strategy == "full_recompute":
        return None
    by_label = {leaf.label: leaf.fingerprint for leaf in inputs.domains.leaves}
    for label in config.reuse.release:
        if label not in by_label:
            known = ", ".join(sorted(by_label))
            raise ConfigError(config_file, "reuse.release", repr(label), f"one of the domains: {known}")
    change = base.change
    origins = {new: {old: 1.0} for new, old in change.revised.items()}
    origins |= {part: {old: 1.0} for old, parts in change.partitioned.items() for part in parts}
    origins |= {new: dict(outcome.splits[new]) for new in change.merged if new in outcome.splits}
    return {
        "weights": {leaf: base.record.weights_by_content[leaf] for leaf in sorted(change.same)},
        "affected": sorted(change.affected),
        "added": sorted(change.added),
        "origins": dict(sorted(origins.items())),
        "release": sorted(by_label[label] for label in config.reuse.release),
        "informed": bool(outcome.lineage.rows),
        "coupling": {
            "evidence": set_name(outcome.lineage.rows),
            "splits": base.splits,
            "tokenizer": outcome.tokenizer,
        }
        if strategy == "auto" and outcome.lineage.rows
        else None,
    }


def _rounds(config: Config, runs: int) -> list[int]:
    """How many proxies each round trains: parts as equal as can be, each large enough to be validated by itself."""
    rounds = max(1, min(config.swarm.rounds, runs // FOLDS))
    return [runs // rounds + (number < runs % rounds) for number in range(rounds)]


def _swarm(config: Config, inputs: ResolvedInputs, outcome: RunState) -> dict[str, Any] | None:
    """How the first mixtures are drawn; None where the plan leaves nothing to explore."""
    if outcome.plan["runs"] == 0:
        return None
    settings = config.swarm
    return {
        "columns": outcome.plan["columns"],
        "natural": outcome.natural,
        "runs": _rounds(config, outcome.plan["runs"])[0],
        "settings": settings.model_dump(exclude={"runs", "rounds", "tolerance", "bounds"}),
        "bounds": {
            leaf.fingerprint: list(settings.bounds[leaf.label])
            for leaf in inputs.domains.leaves
            if leaf.label in settings.bounds
        },
    }
