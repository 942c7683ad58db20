"""The plan of a run before anything is spent: what happens to every leaf and step, its cost, and the alternatives."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from flows.execution.dry_run import Counts
from flows.pipeline.forecast import Forecast, forecast
from flows.reports.plan_notes import plan_notes
from olmix_core.config.config import Config
from olmix_core.config.recipe import ProxyRecipe
from olmix_core.config.reuse import Reuse
from olmix_core.identity import digest
from olmix_core.mixes.record import MixRecord
from olmix_core.mixes.record_parts import Speed
from olmix_core.mixes.versions import read_latest
from olmix_core.planning.preflight import ResolvedInputs
from olmix_core.serialization import JsonObject
from tasks.steps.evaluate import evaluate
from tasks.steps.evidence import evidence
from tasks.steps.plan import plan as plan_step
from tasks.steps.publish import PUBLISH
from tasks.steps.statistics import StatisticsPayload
from tasks.steps.train import TrainPayload, train

ALTERNATIVES = ("full_recompute", "full_reuse")  # the paper's two ends of reuse
UNTOUCHED = ("unchanged", "renamed")  # kinds of change that leave the content as it was


@dataclass(frozen=True)
class LeafPlan:
    """What a run does with one leaf.

    Attributes:
        domain: Label of the leaf.
        change: What happened to it since the base: first, unchanged, renamed, added, revised, partitioned, merged or
            removed.
        action: What the run does with it.
        count: Whether its tokens have to be counted.
        cause: DATA for a leaf whose content changed, else empty.
        coupling_fall: Share of the coupling that releasing it takes away; None where it is not known.
    """

    domain: str
    change: str
    action: str
    count: bool
    cause: str
    coupling_fall: float | None = None


@dataclass(frozen=True)
class StepPlan:
    """Results of one step: to execute, found in the cache, and carried over from earlier versions."""

    executed: int
    cached: int
    reused: int = 0


@dataclass(frozen=True)
class Cost:
    """Cost of the results to execute.

    Attributes:
        proxies: Proxies to train.
        tokens: Tokens that they train on.
        evaluations: Evaluations.
        seconds: Duration; None where no speed is on record.
    """

    proxies: int
    tokens: int
    evaluations: int
    seconds: float | None


@dataclass(frozen=True)
class Coupling:
    """Coupling of kept and recomputed leaves, `before` and `after` leaves are released."""

    before: float
    after: float


@dataclass(frozen=True)
class EvidenceUse:
    """Proxies of other swarms that the law is fitted to.

    Attributes:
        carried_over: Proxies of earlier versions.
        pooled: Proxies of the pool.
        left_out: {reason: proxies that are left out}.
    """

    carried_over: int
    pooled: int
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class Plan:
    """What running a configuration would execute and cost.

    Attributes:
        name: Name of the mix.
        strategy: `reuse.strategy`.
        builds_on: Version of the mix whose ratios or evidence are reused; None for a first one.
        pending: Whether there is anything to do.
        estimated: Whether some numbers of tokens are estimates.
        leaves: The leaves, by label; removed ones too.
        steps: {step: its results}.
        cost: Cost of this plan.
        alternatives: {strategy: its cost instead}.
        coupling: None where nothing is kept.
        evidence: What the law is fitted to apart from the proxies of this run.
        notes: Remarks for people.
    """

    name: str
    strategy: str
    builds_on: str | None
    pending: bool
    estimated: bool
    leaves: tuple[LeafPlan, ...]
    steps: Mapping[str, StepPlan]
    cost: Cost
    alternatives: Mapping[str, Cost]
    coupling: Coupling | None
    evidence: EvidenceUse
    notes: tuple[str, ...]

    def to_json(self) -> JsonObject:
        """Convert to JSON.

        Returns:
            The fields, as docs/schemas/plan.json describes them.
        """
        return {**asdict(self), "leaves": [asdict(leaf) for leaf in self.leaves], "notes": list(self.notes)}


def make_plan(
    config: Config, config_file: str, workers: int | None = None, inputs: ResolvedInputs | None = None
) -> Plan:
    """Plan a run. Nothing is started, and nothing is written to the store.

    Args:
        config: The configuration.
        config_file: Its path, for error messages.
        workers: Proxies at once, for the estimate of time; None for one per core.
        inputs: What the configuration refers to, if it was resolved before.

    Returns:
        The plan.

    Raises:
        OlmixError: If the run would fail before its first step that costs anything.
    """
    prospect = forecast(config, config_file, inputs)
    last = read_latest(prospect.inputs.store, config.name)
    outcome = prospect.outcome
    return Plan(
        name=config.name,
        strategy=config.reuse.strategy,
        builds_on=outcome.base.record.version if outcome.base.record else None,
        pending=not prospect.is_nothing or last is None or not _same_labels(prospect, last),
        estimated=prospect.run.estimated,
        leaves=_leaves(prospect),
        steps=_steps(prospect),
        cost=_cost(prospect, last, workers),
        alternatives=_alternatives(config, config_file, prospect, last, workers),
        coupling=_coupling(prospect),
        evidence=EvidenceUse(outcome.carried_over, outcome.pool.proxies, dict(outcome.left_out)),
        notes=tuple(plan_notes(prospect)),
    )


def _same_labels(prospect: Forecast, last: MixRecord) -> bool:
    tasks = {task.fingerprint: task.name for task in last.tasks}
    new_tasks = {task.fingerprint: task.label for task in prospect.inputs.tasks}
    return last.labels == prospect.inputs.domains.labels and tasks == new_tasks


def _steps(prospect: Forecast) -> dict[str, StepPlan]:
    steps = {step: StepPlan(counts.executed, counts.cached) for step, counts in prospect.counts.items()}
    steps[PUBLISH.name] = StepPlan(executed=1, cached=0)
    steps[plan_step.name] = replace(steps[plan_step.name], reused=len(prospect.outcome.plan.kept))
    steps[evidence.name] = replace(steps[evidence.name], reused=prospect.outcome.carried_over)
    return steps


def _leaves(prospect: Forecast) -> tuple[LeafPlan, ...]:
    """What is done with every leaf, and why; by label."""
    plan, change = prospect.outcome.plan, prospect.outcome.base.change
    falls = {effect.leaf: effect.fall for effect in plan.coupling.leaves} if plan.coupling else {}
    counted = {
        entry.payload.content: entry.cached
        for entry in prospect.run.entries
        if isinstance(entry.payload, StatisticsPayload)
    }
    rows = [LeafPlan(label, "removed", "drop", count=False, cause="DATA") for label in _removed(prospect)]
    for leaf in prospect.inputs.domains.leaves:
        content = leaf.fingerprint
        kind = change.kind(content) if change else "first"
        rows.append(
            LeafPlan(
                domain=leaf.label,
                change=kind,
                action=_action(prospect, content, kind),
                count=not counted.get(content, False),
                cause="" if kind in UNTOUCHED else "DATA",
                coupling_fall=falls.get(content),
            )
        )
    return tuple(sorted(rows, key=lambda row: row.domain))


def _action(prospect: Forecast, content: str, change: str) -> str:
    plan = prospect.outcome.plan
    if content in plan.kept:
        return "keep its ratio"
    if content in plan.released:
        return "explore again (released)"
    if plan.reusable and change in UNTOUCHED:
        return "learn from its runs on record"
    return "explore"


def _removed(prospect: Forecast) -> list[str]:
    base = prospect.outcome.base
    if base.record is None or base.change is None:
        return []
    return [base.record.labels[leaf] for leaf in base.change.removed]


def _cost(prospect: Forecast, last: MixRecord | None, workers: int | None) -> Cost:
    counts = prospect.counts
    proxies = counts.get(train.name, Counts()).executed
    evaluations = counts.get(evaluate.name, Counts()).executed
    own, vocab_size, larger = prospect.inputs.recipe, prospect.inputs.vocab_size, _larger_proxies(prospect)
    tokens = (proxies - len(larger)) * (own.tokens or 0) + sum(recipe.tokens or 0 for recipe in larger)
    seconds = None
    same_recipe = last is not None and last.settings.proxy.to_json() == prospect.inputs.recipe.identity()
    speed = last.speed if last is not None and same_recipe else Speed()
    if speed.train_seconds_per_token is not None:
        # The time of a token is taken to grow with the parameters.
        growth = [recipe.parameters(vocab_size) / own.parameters(vocab_size) - 1 for recipe in larger]
        work = tokens + sum((recipe.tokens or 0) * more for recipe, more in zip(larger, growth, strict=True))
        work = work * speed.train_seconds_per_token + evaluations * (speed.evaluate_seconds or 0.0)
        seconds = work / (workers or os.cpu_count() or 1)
    return Cost(proxies, tokens, evaluations, seconds)


def _larger_proxies(prospect: Forecast) -> list[ProxyRecipe]:
    """The recipe of each larger proxy that would be trained."""
    recipes = {digest(recipe.identity()): recipe for recipe, _ in prospect.inputs.anchors}
    trained = [
        digest(dict(entry.payload.recipe))
        for entry in prospect.run.entries
        if isinstance(entry.payload, TrainPayload) and not entry.cached
    ]
    return [recipes[recipe] for recipe in trained if recipe in recipes]


def _alternatives(
    config: Config, config_file: str, prospect: Forecast, last: MixRecord | None, workers: int | None
) -> dict[str, Cost]:
    """What other strategies would cost; each distinct chain is walked once."""
    costs: dict[str, Cost] = {}
    for strategy in ALTERNATIVES:
        if strategy == config.reuse.strategy:
            costs[strategy] = _cost(prospect, last, workers)
        elif prospect.outcome.base.record is None and costs:
            costs[strategy] = next(iter(costs.values()))  # without a base there is nothing to reuse
        else:
            other = config.model_copy(update={"reuse": Reuse.model_validate({"strategy": strategy})})
            costs[strategy] = _cost(forecast(other, config_file, prospect.inputs, prospect), last, workers)
    return costs


def _coupling(prospect: Forecast) -> Coupling | None:
    coupling = prospect.outcome.plan.coupling
    return None if coupling is None else Coupling(coupling.before, coupling.after)
