"""One round of a swarm: train its proxies, measure them, put them on record, and fit the law to all evidence so far."""

from collections.abc import Mapping, Sequence, Set
from typing import Any

from flows.execution.executor import Executor
from flows.pipeline.evaluate_swarm import measure
from flows.pipeline.run_state import RunState
from flows.pipeline.train_swarm import proxy_keys, train_swarm
from olmix_core.config.config import Config
from olmix_core.evidence.atoms import in_atoms
from olmix_core.evidence.compatibility import Requirements
from olmix_core.evidence.ledger import set_name
from olmix_core.evidence.pooling import select_from_ledger
from olmix_core.evidence.rows import EvidenceRow, recipe_key
from olmix_core.mixes.record import next_version
from olmix_core.planning.preflight import ResolvedInputs
from olmix_core.storage.layout import tokenizer_path
from olmix_core.storage.store import Store
from tasks.steps.evaluate import evaluate
from tasks.steps.evidence import evidence
from tasks.steps.fit import fit


def train_round(
    config: Config,
    inputs: ResolvedInputs,
    outcome: RunState,
    run: Executor,
    batch: str,
    mixtures: Sequence[dict[str, float]],
    measured: dict[str, EvidenceRow],
    corpora: Mapping[str, str],
) -> None:
    """Train and evaluate proxies on `mixtures`, and fit the law to all evidence up to now.

    `measured` has what earlier rounds of the swarm `batch` measured, {proxy: row}; that of this one is added.
    """
    domains, tasks, recipe = inputs.domains, inputs.tasks, inputs.recipe.identity()
    is_first = not measured
    if is_first:
        keys = proxy_keys(config, mixtures, recipe, outcome.tokenizer)
        _choose_pool(config, inputs, outcome, recipe, batch, keys)
    first = len(outcome.trained) + len(outcome.excluded)
    trained = train_swarm(config, mixtures, inputs.recipe, domains, outcome.tokenizer, corpora, run, first)
    outcome.trained += trained.proxies
    outcome.excluded += trained.excluded
    source = f"{config.name}@{next_version(Store(config.store), config.name)}"
    own = {
        proxy["proxy"]: EvidenceRow(
            proxy=proxy["proxy"],
            mixture=mixture,
            bpb={},
            recipe=recipe,
            tokenizer=outcome.tokenizer,
            swarm=batch,
            seed=config.proxy.seed,
            tokens=proxy["tokens"],
            seconds=proxy["seconds"],
            labels={leaf: domains.labels[leaf] for leaf in mixture},
        )
        for mixture, proxy in zip(trained.mixtures, trained.proxies, strict=True)
    }
    earlier = {row.proxy: row for row in outcome.lineage.proxies if row.proxy not in own}
    # What is on record is measured on tasks that are new since; once is enough.
    again = list(earlier.values()) if is_first else []
    origins = outcome.base.origins
    found = measure(
        list(own.values()), again, inputs.tasks, origins, corpora, source, run, config.execution.timeout_hours
    )
    outcome.evaluation_seconds, outcome.standard_errors = found.seconds, found.standard_errors
    measured |= {row.proxy: row for row in found.rows}
    carried = [*outcome.lineage.rows, *outcome.pool.rows]
    outcome.evidence = run.run(
        evidence,
        {"rows": set_name({*carried, *(row.id for row in measured.values())}), "pool": outcome.pool.evidence},
        added=list(measured.values()),
        carried=carried,
        pooled=outcome.pool.rows,
    )["evidence"]

    atoms: set[str] = set()
    for mixture in (row.mixture for row in (*earlier.values(), *measured.values(), *own.values())):
        atoms |= in_atoms(mixture, outcome.splits).keys()
    atoms |= in_atoms(dict.fromkeys((*outcome.natural, *outcome.pool.contents), 1.0), outcome.splits).keys()
    outcome.fit = run.run(
        fit,
        {
            "evidence": outcome.evidence,
            "atoms": sorted(atoms),
            "splits": outcome.splits,
            "tasks": [task.fingerprint for task in tasks],
            **config.surrogate.model_dump(),
            **_hangs_together(inputs, outcome, batch, atoms),
        },
    )


def _choose_pool(
    config: Config, inputs: ResolvedInputs, outcome: RunState, recipe: Mapping[str, Any], batch: str, own: Sequence[str]
) -> None:
    """What else of the ledger the law is fitted to, under strategy `auto`; `own` are the first proxies of this swarm.

    Whatever a later round of it has on record comes in with that round, so that a run that was stopped goes on as if
    it had not been.
    """
    store = Store(config.store)
    if config.reuse.strategy != "auto" or not store.exists(tokenizer_path(outcome.tokenizer)):
        return
    leaves = inputs.domains.fingerprints
    split = {leaf for whole, parts in outcome.splits.items() for leaf in (whole, *parts)}
    outcome.pool = select_from_ledger(
        store,
        {*own, *(row.proxy for row in outcome.lineage.proxies)},
        batch,
        Requirements(
            recipe_key=recipe_key(recipe),
            tokenizer=outcome.tokenizer,
            evaluation=evaluate.code_version,
            tasks=[task.fingerprint for task in inputs.tasks],
            contents=sorted({*leaves, *split}),
        ),
        {"leaves": list(leaves), "swarm": sorted(own), "lineage": list(outcome.lineage.rows)},
        outcome.base.pools,
    )


def _hangs_together(inputs: ResolvedInputs, outcome: RunState, batch: str, atoms: Set[str]) -> dict[str, Any]:
    """What is known of swarms and atoms before a fit of several swarms (`SwarmPrior`); empty for one swarm.

    Sources go in as groups of content: what they are called is no part of the result.
    """
    swarms = {row.swarm for row in outcome.lineage.proxies} | ({batch} if batch else set())
    if len(swarms) < 2 and not outcome.pool.proxies:
        return {}
    earlier = sorted(outcome.lineage.proxies, key=lambda row: (row.recorded, row.proxy))
    labels: dict[str, str] = {}
    for row in earlier:
        labels |= row.labels
    labels |= inputs.domains.labels
    sources: dict[str, list[str]] = {}
    for atom in sorted(atoms & labels.keys()):
        sources.setdefault(labels[atom].split(":")[0], []).append(atom)
    revised = {new: old[0] for new, old in outcome.base.origins.items() if len(old) == 1 and {new, *old} <= set(atoms)}
    select_from_ledger = {
        "current": batch or (earlier[-1].swarm if earlier else ""),
        "sources": sorted(source for source in sources.values() if len(source) > 1),
        "revised": dict(sorted(revised.items())),
    }
    return {"pool": select_from_ledger}
