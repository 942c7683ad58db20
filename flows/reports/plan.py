"""The plan before paying: what a run would do to every leaf and step, its cost, and that of the alternatives."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flows.pipeline.forecast import Forecast, forecast
from olmix_core.config.config import Config
from olmix_core.config.recipe import caution
from olmix_core.config.reuse import Reuse
from olmix_core.evidence.compatibility import describe_exclusions
from olmix_core.mixes.record import latest_version, read_mix
from olmix_core.storage.store import Store

STRATEGIES = ("full_recompute", "full_reuse")


@dataclass(frozen=True)
class Cost:
    """Proxies to train, tokens they train on, and seconds (None where no speed is on record)."""

    proxies: int
    tokens: int
    evaluations: int
    seconds: float | None

    def to_json(self) -> dict[str, Any]:
        return {
            "proxies": self.proxies,
            "tokens": self.tokens,
            "evaluations": self.evaluations,
            "seconds": self.seconds,
        }


def make_plan(config: Config, config_file: str, workers: int | None = None) -> dict[str, Any]:
    """The plan for `config` as plain JSON; nothing is started and nothing written.

    {strategy, pending, estimated, leaves: [{domain, change, action, cause, fall}], steps: {step: {executed, cached,
    reused}}, cost, alternatives: {strategy: cost}, coupling, evidence: {carried_over, pooled, left_out}, notes}.

    Raises OlmixError.
    """
    store = Store(config.store)
    last = read_mix(store, config.name) if latest_version(store, config.name) else None
    found = forecast(config, config_file)
    steps = {step: {**counts, "reused": 0} for step, counts in found.counts.items()}
    steps["publish"] = {"executed": 1, "cached": 0, "reused": 0}
    steps["plan"]["reused"] = len(found.outcome.plan["kept"])
    steps["evidence"]["reused"] = found.outcome.carried_over
    return {
        "name": config.name,
        "strategy": config.reuse.strategy,
        "builds_on": found.outcome.base.record["version"] if found.outcome.base.record else None,
        "pending": not found.is_nothing or last is None or not _same_labels(found, last),
        "estimated": found.run.estimated,
        "leaves": _leaves(found),
        "steps": steps,
        "cost": _cost(found, config, last, workers).to_json(),
        "alternatives": _alternatives(config, config_file, found, last, workers),
        "coupling": _coupling(found),
        "evidence": {
            "carried_over": found.outcome.carried_over,
            "pooled": found.outcome.pool.proxies,
            "left_out": dict(found.outcome.left_out),
        },
        "notes": _notes(found),
    }


def _same_labels(found: Forecast, last: Mapping[str, Any]) -> bool:
    leaves = {leaf["fingerprint"]: leaf["label"] for leaf in last["domain_set"]}
    tasks = {task["fingerprint"]: task["name"] for task in last["tasks"]}
    now = {task.fingerprint: task.label for task in found.inputs.tasks}
    return leaves == found.inputs.domains.labels and tasks == now


def _leaves(found: Forecast) -> list[dict[str, Any]]:
    """What is done with every leaf, and why."""
    plan, change = found.outcome.plan, found.outcome.base.change
    kept, released = set(plan["kept"]), set(plan["released"])
    falls = {one["leaf"]: one["fall"] for one in (plan["coupling"] or {"leaves": []})["leaves"]}
    counted = {entry.payload["content"]: entry.cached for entry in found.run.entries if entry.step == "statistics"}
    rows = []
    for leaf in found.inputs.domains.leaves:
        content = leaf.fingerprint
        kind = change.kind(content) if change else "first"
        if content in kept:
            action = "keep its ratio"
        elif plan["reusable"] and content not in released and kind in ("unchanged", "renamed"):
            action = "learn from its runs on record"
        elif content in released:
            action = "explore again (released)"
        else:
            action = "explore"
        rows.append(
            {
                "domain": leaf.label,
                "change": kind,
                "action": action,
                "count": not counted.get(content, False),
                "cause": "" if kind in ("unchanged", "renamed") else "DATA",
                "coupling_fall": falls.get(content),
            }
        )
    rows += [
        {"domain": label, "change": "removed", "action": "drop", "count": False, "cause": "DATA", "coupling_fall": None}
        for label in _removed(found)
    ]
    return sorted(rows, key=lambda row: row["domain"])


def _removed(found: Forecast) -> list[str]:
    base = found.outcome.base
    if base.record is None or base.change is None:
        return []
    labels = {leaf["fingerprint"]: leaf["label"] for leaf in base.record["domain_set"]}
    return [labels[leaf] for leaf in base.change.removed]


def _cost(found: Forecast, config: Config, last: Mapping[str, Any] | None, workers: int | None) -> Cost:
    counts = found.counts
    proxies = counts.get("train", {"executed": 0})["executed"]
    evaluations = counts.get("evaluate", {"executed": 0})["executed"]
    tokens = proxies * (found.inputs.recipe.tokens or 0)
    seconds = None
    same = last is not None and last["settings"]["proxy"] == found.inputs.recipe.identity()
    speed = last["speed"] if last is not None and same else {}
    if "train_seconds_per_token" in speed:
        work = tokens * speed["train_seconds_per_token"] + evaluations * speed["evaluate_seconds"]
        seconds = work / (workers or os.cpu_count() or 1)
    return Cost(proxies, tokens, evaluations, seconds)


def _alternatives(
    config: Config, config_file: str, found: Forecast, last: Mapping[str, Any] | None, workers: int | None
) -> dict[str, Any]:
    """What the paper's two ends of reuse would cost instead."""
    costs = {}
    for strategy in STRATEGIES:
        other = config.model_copy(update={"reuse": Reuse.model_validate({"strategy": strategy})})
        instead = forecast(other, config_file, found.inputs)
        costs[strategy] = _cost(instead, other, last, workers).to_json()
    return costs


def _coupling(found: Forecast) -> dict[str, Any] | None:
    coupling = found.outcome.plan["coupling"]
    return None if coupling is None else {"before": coupling["before"], "after": coupling["after"]}


def _notes(found: Forecast) -> list[str]:
    outcome = found.outcome
    notes: list[str] = []
    if outcome.base.change is not None:
        notes += outcome.base.change.notes
    if outcome.pool.proxies:
        notes.append(f"the law learns from {_proxies(outcome.pool.proxies)} of other swarms on record as well")
    if outcome.left_out:
        notes.append(f"proxies on record that are left out: {describe_exclusions(outcome.left_out)}")
    if outcome.pool.later:
        notes.append(
            f"{_proxies(outcome.pool.later)} recorded since could be used too, and will be once domains, tasks, swarm,"
            " recipe or imports are others"
        )
    if found.outcome.to_come:
        notes.append(
            f"trained in rounds: at most as many proxies as said, {found.outcome.to_come} of them in later rounds"
        )
    warning = caution(found.inputs.recipe.parameters(found.inputs.vocab_size))
    if warning and found.counts.get("train", {"executed": 0})["executed"]:
        notes.append(warning)
    if found.run.estimated:
        notes.append("tokens of leaves that were never counted are estimated from their size")
    return notes


def _proxies(count: int) -> str:
    return "1 proxy" if count == 1 else f"{count} proxies"
