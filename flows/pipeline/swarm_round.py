"""One round of a swarm: train its proxies, measure them, put them on record, and say what to fit the law to."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from flows.pipeline.context import RunContext
from flows.pipeline.evaluate_swarm import measure
from flows.pipeline.train_swarm import TrainedSwarm, proxy_keys, train_swarm
from olmix_core.config.recipe import ProxyRecipe
from olmix_core.evidence.atoms import in_atoms
from olmix_core.evidence.compatibility import Requirements
from olmix_core.evidence.ledger import set_name
from olmix_core.evidence.pooling import RunIdentity, select_from_ledger
from olmix_core.evidence.rows import EvidenceRow, recipe_key
from olmix_core.mixes.versions import next_version
from olmix_core.mixture import Mixture
from olmix_core.storage.layout import tokenizer_path
from tasks.steps.evaluate import evaluate
from tasks.steps.evidence import EvidencePayload, evidence
from tasks.steps.fit import FitPayload, SwarmGroups


@dataclass
class SwarmProgress:
    """A swarm that is trained in rounds.

    Attributes:
        swarm: Its key; "" where nothing is explored.
        corpora: {leaf: folder of its tokens}.
        drawn: Number of mixtures of the rounds so far.
        measured: {proxy: its row} of the rounds so far.
    """

    swarm: str
    corpora: Mapping[str, str]
    drawn: int = 0
    measured: dict[str, EvidenceRow] = field(default_factory=dict)


def train_round(context: RunContext, progress: SwarmProgress, mixtures: Sequence[Mixture]) -> FitPayload:
    """Train and evaluate proxies, and put them on record.

    Args:
        context: The run; its state is filled.
        progress: The swarm; what this round measures is added.
        mixtures: The mixtures to train on.

    Returns:
        What to fit the law to: all evidence up to now.

    Raises:
        OlmixError: A step failed, or too many proxies diverged.
    """
    config, state, executor = context.config, context.state, context.executor
    is_first = not progress.measured
    if is_first:
        _select_pool(context, progress.swarm, proxy_keys(context, mixtures))
    numbers = [f"{progress.drawn + index:03d}" for index in range(len(mixtures))]
    progress.drawn += len(mixtures)
    trained = train_swarm(context, mixtures, progress.corpora, context.inputs.recipe, numbers)
    state.trained += trained.proxies
    state.excluded += trained.excluded
    own = {row.proxy: row for row in unmeasured_rows(context, trained, context.inputs.recipe, progress.swarm)}
    earlier = {row.proxy: row for row in state.lineage.proxies if row.proxy not in own}
    source = f"{config.name}@{next_version(context.store, config.name)}"
    # What is on record is measured on tasks that are new since; once is enough.
    again = list(earlier.values()) if is_first else []
    measured = measure(context, list(own.values()), again, progress.corpora, source)
    state.evaluation_seconds, state.standard_errors = measured.seconds, measured.standard_errors
    progress.measured |= {row.proxy: row for row in measured.rows}
    rows = list(progress.measured.values())
    carried = [*state.lineage.rows, *state.pool.rows]
    state.evidence = executor.run(
        evidence,
        EvidencePayload(set_name({*carried, *(row.id for row in rows)}), state.pool.evidence),
        added=rows,
        carried=carried,
        pooled=state.pool.rows,
    ).evidence
    mixtures_on_record = [row.mixture for row in (*earlier.values(), *rows, *own.values())]
    return _fit_payload(context, progress.swarm, mixtures_on_record)


def unmeasured_rows(context: RunContext, trained: TrainedSwarm, recipe: ProxyRecipe, swarm: str) -> list[EvidenceRow]:
    """Begin the rows of trained proxies, without BPB.

    Args:
        context: The run.
        trained: The proxies.
        recipe: Their recipe.
        swarm: Key of their swarm.

    Returns:
        A row for each.
    """
    return [
        EvidenceRow(
            proxy=proxy.proxy,
            mixture=mixture,
            bpb={},
            recipe=recipe.identity(),
            tokenizer=context.state.tokenizer,
            swarm=swarm,
            seed=recipe.seed,
            tokens=proxy.tokens,
            seconds=proxy.seconds,
            labels={leaf: context.inputs.domains.labels[leaf] for leaf in mixture},
        )
        for mixture, proxy in zip(trained.mixtures, trained.proxies, strict=True)
    ]


def requirements(context: RunContext) -> Requirements:
    """Say which rows of the ledger are evidence for a run.

    Args:
        context: The run, once its domains are split.

    Returns:
        The requirements.
    """
    state, inputs = context.state, context.inputs
    split = {leaf for whole, parts in state.splits.items() for leaf in (whole, *parts)}
    return Requirements(
        recipe_key=recipe_key(context.recipe),
        tokenizer=state.tokenizer,
        evaluation=evaluate.code_version,
        tasks=[task.fingerprint for task in inputs.tasks],
        contents=sorted({*inputs.domains.fingerprints, *split}),
        task_text=state.task_text,
    )


def _select_pool(context: RunContext, swarm: str, own: Sequence[str]) -> None:
    """Choose what else of the ledger the law is fitted to, under strategy `auto`; `own` are the first proxies.

    Rows of later rounds are excluded, so that a resumed run gives the same result.
    """
    state = context.state
    if not context.config.reuse.is_automatic or not context.store.exists(tokenizer_path(state.tokenizer)):
        return
    state.pool = select_from_ledger(
        context.store,
        {*own, *(row.proxy for row in state.lineage.proxies)},
        swarm,
        requirements(context),
        RunIdentity(list(context.inputs.domains.fingerprints), sorted(own), state.lineage.rows),
        state.base.pools,
    )


def _fit_payload(context: RunContext, swarm: str, mixtures: Sequence[Mapping[str, float]]) -> FitPayload:
    """What the law is fitted to; `mixtures` are those of the proxies on record."""
    state, settings = context.state, context.config.surrogate
    atoms: set[str] = set()
    for mixture in mixtures:
        atoms |= in_atoms(mixture, state.splits).keys()
    atoms |= in_atoms(dict.fromkeys((*state.natural, *state.pool.contents), 1.0), state.splits).keys()
    return FitPayload(
        evidence=state.evidence,
        atoms=sorted(atoms),
        splits=state.splits,
        tasks=[task.fingerprint for task in context.inputs.tasks],
        family=settings.family,
        huber_delta=settings.huber_delta,
        ridge=settings.ridge,
        pool=_swarm_groups(context, swarm, atoms),
    )


def _swarm_groups(context: RunContext, swarm: str, atoms: Set[str]) -> SwarmGroups | None:
    """What is known of swarms and atoms before a fit (`SwarmPrior`); None for one swarm of unrelated atoms.

    Sources go in as groups of content: what they are called is no part of the result.
    """
    state = context.state
    swarms = {row.swarm for row in state.lineage.proxies} | ({swarm} if swarm else set())
    earlier = sorted(state.lineage.proxies, key=lambda row: (row.recorded, row.proxy))
    labels: dict[str, str] = {}
    for row in earlier:
        labels |= row.labels
    labels |= context.inputs.domains.labels
    sources: dict[str, list[str]] = {}
    for atom in sorted(atoms & labels.keys()):
        sources.setdefault(labels[atom].split(":")[0], []).append(atom)
    groups = sorted(source for source in sources.values() if len(source) > 1)
    relates = any(len(group) < len(atoms) for group in groups)
    revised = {new: old[0] for new, old in state.base.origins.items() if len(old) == 1 and {new, *old} <= set(atoms)}
    if len(swarms) < 2 and not state.pool.proxies and not relates and not revised:
        return None
    return SwarmGroups(
        current=swarm or (earlier[-1].swarm if earlier else ""),
        sources=groups,
        revised=dict(sorted(revised.items())),
    )
