"""The chain of steps: what each depends on, from a configuration to a proposed mixture.

    tokenizer -> statistics (a leaf) -> plan -> swarm -> train (a mixture) -> evaluate (a proxy and a task)
              -> evidence -> fit -> propose

It is written once and carried out by an executor: for real (the flow), or as a dry run (what would be executed).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from flows.execute import Executor
from olmix_core.bounds import previous_as_reference
from olmix_core.carry import extended, in_atoms, may_have_trained_on
from olmix_core.change import Change, compare, old_leaves
from olmix_core.config import Bytes, Config, TokenizerFile, TrainedBPE
from olmix_core.corpus import LeafStatistics
from olmix_core.errors import ConfigError
from olmix_core.evidence import Row, read_rows
from olmix_core.mixture import natural as natural_mixture
from olmix_core.preflight import Inputs, check_statistics
from olmix_core.record import latest_version, read_mix
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


@dataclass(frozen=True)
class Base:
    """The mix that is built on: the last one, or, if the domain set is still its own, the one that it built on."""

    record: Mapping[str, Any] | None
    change: Change | None

    @property
    def origins(self) -> dict[str, list[str]]:
        """{leaf: the leaves that its content comes from}, of all changes up to now."""
        found = {leaf: list(old) for leaf, old in self.record["origins"].items()} if self.record else {}
        if self.change is not None:
            found |= {leaf: sorted(old) for leaf, old in self.change.origins.items()}
        return found

    @property
    def splits(self) -> dict[str, dict[str, float]]:
        return dict(self.record["splits"]) if self.record else {}


@dataclass
class Outcome:
    """What the chain found, step by step; what was not reached is empty."""

    base: Base
    tokenizer: str = ""
    statistics: dict[str, LeafStatistics] = field(default_factory=dict)
    natural: dict[str, float] = field(default_factory=dict)
    plan: Result = field(default_factory=dict)
    trained: list[Result] = field(default_factory=list)
    carried_over: list[Row] = field(default_factory=list)  # evidence of the base, made with the same recipe
    left_out: int = 0  # rows of the base that were made with another recipe or tokenizer
    splits: dict[str, dict[str, float]] = field(default_factory=dict)
    evaluation_seconds: float = 0.0  # mean over proxies and tasks
    evidence: str = ""
    fit: Result = field(default_factory=dict)
    proposal: Result = field(default_factory=dict)


def find_base(config: Config, inputs: Inputs) -> Base:
    """Which published mix the plan builds on, and what changed since."""
    store = Store(config.store)
    version = latest_version(store, config.name)
    while version is not None:
        record = read_mix(store, config.name, version)
        change = compare(old_leaves(record), inputs.domains)
        if not change.is_empty:
            return Base(record, change)
        # The same leaves: what was planned for them stays, so that a second run finds everything done.
        version = record["base"]
    return Base(None, None)


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

    _carry_over(config, outcome, recipe, tokens)
    outcome.plan = run.run(
        plan,
        {
            "units": domains.units,
            "runs": config.swarm.runs,
            "base": _plan_base(config, config_file, inputs, outcome),
        },
        files={leaf.fingerprint: [asdict(file) for file in leaf.files] for leaf in domains.leaves},
    )
    mixtures = _swarm(config, inputs, outcome, run)

    corpora = {
        leaf: corpus_folder(statistics.key({"content": leaf, "tokenizer": outcome.tokenizer})) for leaf in tokens
    }
    payloads: list[dict[str, Any]] = [
        {"mixture": mixture, "recipe": recipe, "tokenizer": outcome.tokenizer} for mixture in mixtures
    ]
    outcome.trained = run.run_all(
        train,
        [(payload, {"label": f"{number:03d}", "corpora": corpora}) for number, payload in enumerate(payloads)],
    )
    rows = {
        proxy["proxy"]: Row(
            proxy=proxy["proxy"],
            mixture=payload["mixture"],
            bpb={},
            recipe=recipe,
            tokenizer=outcome.tokenizer,
            tokens=proxy["tokens"],
            seconds=proxy["seconds"],
        )
        for payload, proxy in zip(payloads, outcome.trained, strict=True)
    }
    # Proxies of earlier versions are evidence too; on tasks that are new since they are evaluated now.
    rows |= {row.proxy: row for row in outcome.carried_over if row.proxy not in rows}
    origins = outcome.base.origins
    pairs = [
        (proxy, task)
        for proxy, row in rows.items()
        for task in tasks
        # A BPB on text that the proxy was trained on would be no evidence.
        if not any(may_have_trained_on(leaf, row.mixture, origins) for leaf in task.leaves)
    ]
    measured = run.run_all(
        evaluate,
        [
            (
                {"proxy": proxy, "task": task.fingerprint},
                {
                    "label": f"{proxy[:6]} {task.label}",
                    "recipe": recipe,
                    "tokenizer": tokenizer_path(outcome.tokenizer),
                    "file": task.file,
                    "corpora": [corpora[leaf] for leaf in task.leaves],
                },
            )
            for proxy, task in pairs
        ],
    )
    outcome.evaluation_seconds = sum(result["seconds"] for result in measured) / len(measured)
    bpb: dict[str, dict[str, float]] = {proxy: {} for proxy in rows}
    for (proxy, task), result in zip(pairs, measured, strict=True):
        bpb[proxy][task.fingerprint] = result["bpb"]
    evaluated = [{**asdict(row), "bpb": bpb[proxy]} for proxy, row in sorted(rows.items())]
    said = [{name: row[name] for name in ("proxy", "mixture", "bpb")} for row in evaluated]
    outcome.evidence = run.run(evidence, {"rows": said}, rows=evaluated)["evidence"]

    atoms: set[str] = set()
    for mixture in [*(row.mixture for row in rows.values()), dict.fromkeys(tokens, 1.0)]:
        atoms |= in_atoms(mixture, outcome.splits).keys()
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


def _carry_over(config: Config, outcome: Outcome, recipe: Mapping[str, Any], tokens: Mapping[str, int]) -> None:
    """The base's evidence that is of the same kind as the proxies of today, and how its leaves are written now."""
    base = outcome.base
    if base.record is None or base.change is None or config.reuse.strategy == "full_recompute":
        return
    known = {leaf["fingerprint"]: leaf["tokens"] - leaf["heldout_tokens"] for leaf in base.record["domain_set"]}
    outcome.splits = extended(base.splits, base.change.partitioned, base.change.merged, {**known, **tokens})
    rows = read_rows(Store(config.store), base.record["evidence"])
    outcome.carried_over = [row for row in rows if row.recipe == recipe and row.tokenizer == outcome.tokenizer]
    outcome.left_out = len(rows) - len(outcome.carried_over)


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
    rows = outcome.carried_over
    origins = {new: {old: 1.0} for new, old in change.revised.items()}
    origins |= {part: {old: 1.0} for old, parts in change.partitioned.items() for part in parts}
    origins |= {new: dict(outcome.splits[new]) for new in change.merged if new in outcome.splits}
    tasks = sorted({task for row in rows for task in row.bpb})
    return {
        "weights": {leaf: base.record["weights_by_content"][leaf] for leaf in sorted(change.same)},
        "affected": sorted(change.affected),
        "added": sorted(change.added),
        "origins": dict(sorted(origins.items())),
        "release": sorted(by_label[label] for label in config.reuse.release),
        "informed": bool(rows),
        "coupling": {
            "evidence": base.record["evidence"],
            "proxies": sorted(row.proxy for row in rows),
            "splits": base.splits,
            "tasks": tasks,
            "tokenizer": outcome.tokenizer,
        }
        if strategy == "auto" and rows
        else None,
    }


def _swarm(config: Config, inputs: Inputs, outcome: Outcome, run: Executor) -> Sequence[dict[str, float]]:
    """The mixtures to train on; none where the plan leaves nothing to explore."""
    if outcome.plan["runs"] == 0:
        return []
    settings = config.swarm
    drawn = run.run(
        swarm,
        {
            "columns": outcome.plan["columns"],
            "natural": outcome.natural,
            "runs": outcome.plan["runs"],
            "settings": settings.model_dump(exclude={"runs", "bounds"}),
            "bounds": {
                leaf.fingerprint: list(settings.bounds[leaf.label])
                for leaf in inputs.domains.leaves
                if leaf.label in settings.bounds
            },
        },
    )
    mixtures: list[dict[str, float]] = drawn["mixtures"]
    return mixtures
