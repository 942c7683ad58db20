"""The chain of steps: what each depends on, from a configuration to a proposed mixture.

    tokenizer -> statistics (a leaf) -> plan -> swarm -> train (a mixture) -> evaluate (a proxy and a task)
              -> evidence -> fit -> propose

It is written once and carried out by an executor: for real (the flow), or as a dry run (what would be executed).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from flows.base import Base
from flows.carry_over import Lineage, Pool, lineage, pool
from flows.execute import Executor
from flows.measure import measure
from olmix_core.bounds import previous_as_reference
from olmix_core.carry import extended, in_atoms
from olmix_core.compatible import Wanted
from olmix_core.config import Bytes, Config, TokenizerFile, TrainedBPE
from olmix_core.corpus import LeafStatistics
from olmix_core.errors import ConfigError
from olmix_core.evidence import Row, recipe_key
from olmix_core.ledger import set_name
from olmix_core.mixture import natural as natural_mixture
from olmix_core.preflight import Inputs, check_statistics
from olmix_core.record import latest_version, next_version, read_mix
from olmix_core.store import Store
from tasks.evaluate import evaluate
from tasks.evidence import evidence
from tasks.fit import fit
from tasks.plan import plan
from tasks.propose import propose
from tasks.statistics import corpus_folder, statistics
from tasks.step import Result
from tasks.swarm import swarm
from tasks.tokenizer import tokenizer, tokenizer_path
from tasks.train import train


@dataclass
class Outcome:
    """What the chain found, step by step; what was not reached is empty."""

    base: Base
    tokenizer: str = ""
    statistics: dict[str, LeafStatistics] = field(default_factory=dict)
    natural: dict[str, float] = field(default_factory=dict)
    plan: Result = field(default_factory=dict)
    trained: list[Result] = field(default_factory=list)
    lineage: Lineage = field(default_factory=Lineage)  # evidence of earlier versions
    pool: Pool = field(default_factory=Pool)  # and of the rest of the ledger
    splits: dict[str, dict[str, float]] = field(default_factory=dict)
    contents: Mapping[str, Any] = field(default_factory=dict)  # files of what splits speak of
    evaluation_seconds: float | None = None  # mean over proxies and tasks; None where nothing had to be measured
    evidence: str = ""
    fit: Result = field(default_factory=dict)
    proposal: Result = field(default_factory=dict)

    @property
    def carried_over(self) -> int:
        """Proxies of earlier versions and of other swarms that the law is fitted to."""
        return len(self.lineage.proxies) + self.pool.proxies

    @property
    def left_out(self) -> Mapping[str, int]:
        """Proxies on record that it is not fitted to, by reason."""
        return self.pool.left_out or self.lineage.left_out


def run_chain(config: Config, config_file: str, inputs: Inputs, run: Executor, outcome: Outcome) -> None:
    """Carry out the steps up to the proposal; `outcome` is filled as they end.

    Raises OlmixError.
    """
    domains, tasks = inputs.domains, inputs.tasks
    recipe = config.proxy.model_dump()
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
            "units": domains.units,
            "runs": config.swarm.runs,
            "base": _plan_base(config, config_file, inputs, outcome),
        },
        rows=outcome.lineage.rows,
        files={leaf.fingerprint: [asdict(file) for file in leaf.files] for leaf in domains.leaves},
    )
    batch, mixtures = _swarm(config, inputs, outcome, run)

    corpora = {
        leaf: corpus_folder(statistics.key({"content": leaf, "tokenizer": outcome.tokenizer})) for leaf in tokens
    }
    payloads: list[dict[str, Any]] = [
        {"mixture": mixture, "recipe": recipe, "tokenizer": outcome.tokenizer} for mixture in mixtures
    ]
    _pool(config, inputs, outcome, recipe, [train.key(payload) for payload in payloads])
    outcome.trained = run.run_all(
        train,
        [(payload, {"label": f"{number:03d}", "corpora": corpora}) for number, payload in enumerate(payloads)],
    )
    own = {
        proxy["proxy"]: Row(
            proxy=proxy["proxy"],
            mixture=payload["mixture"],
            bpb={},
            recipe=recipe,
            tokenizer=outcome.tokenizer,
            swarm=batch,
            seed=config.proxy.seed,
            tokens=proxy["tokens"],
            seconds=proxy["seconds"],
            labels={leaf: domains.labels[leaf] for leaf in payload["mixture"]},
        )
        for payload, proxy in zip(payloads, outcome.trained, strict=True)
    }
    earlier = {row.proxy: row for row in outcome.lineage.proxies if row.proxy not in own}
    source = f"{config.name}@{next_version(Store(config.store), config.name)}"
    origins = outcome.base.origins
    measured = measure(list(own.values()), list(earlier.values()), tasks, origins, corpora, source, run)
    outcome.evaluation_seconds = measured.seconds
    carried = [*outcome.lineage.rows, *outcome.pool.rows]
    outcome.evidence = run.run(
        evidence,
        {"rows": set_name({*carried, *(row.id for row in measured.rows)}), "pool": outcome.pool.evidence},
        added=measured.rows,
        carried=carried,
        pooled=outcome.pool.rows,
    )["evidence"]

    atoms: set[str] = set()
    for mixture in (row.mixture for row in (*earlier.values(), *own.values())):
        atoms |= in_atoms(mixture, outcome.splits).keys()
    atoms |= in_atoms(dict.fromkeys((*tokens, *outcome.pool.contents), 1.0), outcome.splits).keys()
    outcome.fit = run.run(
        fit,
        {
            "evidence": outcome.evidence,
            "atoms": sorted(atoms),
            "splits": outcome.splits,
            "tasks": [task.fingerprint for task in tasks],
            **config.surrogate.model_dump(),
        },
    )
    outcome.proposal = run.run(
        propose,
        {
            "fit": outcome.fit["fit"],
            "columns": outcome.plan["columns"],
            "splits": outcome.splits,
            "natural": outcome.natural,
            "tokens": tokens,
            **config.proposal.model_dump(exclude={"bounds", "groups", "reference"}),
            "bounds": [[list(bound.leaves), bound.low, bound.high] for bound in inputs.wanted.bounds],
            "reference": _reference(config, inputs, outcome),
            "task_weights": {task.fingerprint: task.weight for task in tasks},
        },
        labels=domains.labels,
        bound_names=list(inputs.wanted.names),
    )


def _reference(config: Config, inputs: Inputs, outcome: Outcome) -> dict[str, float] | None:
    """What the mixture is pulled towards, by leaf; None for the natural mixture."""
    base = outcome.base
    if config.proposal.reference != "previous":
        return inputs.wanted.reference
    if base.record is None or base.change is None:
        return None
    return previous_as_reference(
        base.record["weights_by_content"], base.change.revised, outcome.splits, outcome.natural
    )


def tokenizer_settings(config: Config, inputs: Inputs) -> dict[str, Any]:
    """What the tokenizer is, apart from the domains it is trained on."""
    settings = config.tokenizer
    if isinstance(settings, TokenizerFile):
        return {"kind": settings.kind, "content": inputs.tokenizer_content, "eos": settings.eos}
    if isinstance(settings, Bytes):
        return {"kind": settings.kind}
    return {"kind": settings.kind, "vocab_size": settings.vocab_size}


def _tokenizer(config: Config, inputs: Inputs, run: Executor) -> str:
    """The fingerprint of the tokenizer: that of the last version of this mix, where its settings are the same."""
    settings, store = tokenizer_settings(config, inputs), Store(config.store)
    if latest_version(store, config.name) is not None:
        frozen = read_mix(store, config.name)["tokenizer"]
        if frozen["settings"] == settings and store.exists(tokenizer_path(frozen["fingerprint"])):
            return str(frozen["fingerprint"])
    leaves = inputs.domains.leaves if isinstance(config.tokenizer, TrainedBPE) else ()
    made = run.run(
        tokenizer,
        {**settings, "leaves": [leaf.fingerprint for leaf in leaves]},
        file=config.tokenizer.path if isinstance(config.tokenizer, TokenizerFile) else None,
        leaves=[[asdict(file) for file in leaf.files] for leaf in leaves],
    )
    return str(made["fingerprint"])


def _statistics(inputs: Inputs, tokenizer_fingerprint: str, run: Executor) -> dict[str, LeafStatistics]:
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
    return {leaf.fingerprint: LeafStatistics(**one) for leaf, one in zip(leaves, results, strict=True)}


def _carry_over(
    config: Config, inputs: Inputs, outcome: Outcome, recipe: Mapping[str, Any], tokens: Mapping[str, int]
) -> None:
    """The evidence of the versions built on that is of the same kind as the proxies of today, and how its leaves are
    written now."""
    base = outcome.base
    if base.record is None or base.change is None or config.reuse.strategy == "full_recompute":
        return
    known = {leaf["fingerprint"]: leaf["tokens"] - leaf["heldout_tokens"] for leaf in base.record["domain_set"]}
    files = {leaf["fingerprint"]: leaf["contents"] for leaf in base.record["domain_set"]}
    files |= {leaf.fingerprint: leaf.contents for leaf in inputs.domains.leaves}
    outcome.splits, outcome.contents = extended(
        base.splits,
        base.change.partitioned,
        base.change.merged,
        {**known, **tokens},
        {**base.record["contents"], **files},
    )
    outcome.lineage = lineage(Store(config.store), base.record, recipe, outcome.tokenizer, evaluate.code_version)


def _pool(config: Config, inputs: Inputs, outcome: Outcome, recipe: Mapping[str, Any], own: Sequence[str]) -> None:
    """What else of the ledger the law is fitted to, under strategy `auto`; `own` are the proxies of this swarm."""
    store = Store(config.store)
    if config.reuse.strategy != "auto" or not store.exists(tokenizer_path(outcome.tokenizer)):
        return
    leaves = inputs.domains.fingerprints
    split = {leaf for whole, parts in outcome.splits.items() for leaf in (whole, *parts)}
    outcome.pool = pool(
        store,
        {*own, *(row.proxy for row in outcome.lineage.proxies)},
        Wanted(
            recipe_key=recipe_key(recipe),
            tokenizer=outcome.tokenizer,
            evaluation=evaluate.code_version,
            tasks=[task.fingerprint for task in inputs.tasks],
            contents=sorted({*leaves, *split}),
        ),
        {"leaves": list(leaves), "swarm": sorted(own), "lineage": list(outcome.lineage.rows)},
        outcome.base.pools,
    )


def _plan_base(config: Config, config_file: str, inputs: Inputs, outcome: Outcome) -> dict[str, Any] | None:
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
        "weights": {leaf: base.record["weights_by_content"][leaf] for leaf in sorted(change.same)},
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


def _swarm(config: Config, inputs: Inputs, outcome: Outcome, run: Executor) -> tuple[str, Sequence[dict[str, float]]]:
    """The key of the swarm and the mixtures to train on; none where the plan leaves nothing to explore."""
    if outcome.plan["runs"] == 0:
        return "", []
    settings = config.swarm
    payload = {
        "columns": outcome.plan["columns"],
        "natural": outcome.natural,
        "runs": outcome.plan["runs"],
        "settings": settings.model_dump(exclude={"runs", "bounds"}),
        "bounds": {
            leaf.fingerprint: list(settings.bounds[leaf.label])
            for leaf in inputs.domains.leaves
            if leaf.label in settings.bounds
        },
    }
    mixtures: list[dict[str, float]] = run.run(swarm, payload)["mixtures"]
    return swarm.key(payload), mixtures
