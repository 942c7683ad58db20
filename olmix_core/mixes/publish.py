"""Publishing: from what a run found to a version on record (see `record`).

mix.json is written first: it claims the version, so that two publishers never write into one folder. A version is a
mixture and what it rests on. Publishing the same again changes nothing and keeps its version.
"""

import importlib.metadata
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from olmix_core.config.defaults import default_runs
from olmix_core.config.recipe import caution
from olmix_core.data.corpus import LeafStatistics
from olmix_core.data.domain_diff import DomainDiff
from olmix_core.data.domains import DomainSet
from olmix_core.data.tasks import EvaluationTask
from olmix_core.evidence.atoms import File, Split, in_atoms
from olmix_core.identity import digest
from olmix_core.mixes.labels import change, diagnostics, mix_label, plan, runs, surrogate, wish
from olmix_core.mixes.record import latest_version, number_of, read_mix
from olmix_core.mixes.runs import FittedRun, to_parquet
from olmix_core.storage.conditional_writes import advance, create_exclusive
from olmix_core.storage.integrity import checksum, seal, unseal
from olmix_core.storage.layout import (
    DIAGNOSTICS_FILE,
    PLAN_FILE,
    RECORD_FILE,
    RUNS_FILE,
    SURROGATE_FILE,
    TABLE_FILE,
    TRADE_OFFS_FILE,
    latest_path,
    version_path,
)
from olmix_core.storage.store import Store
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.intervals import interval

PUBLISHING = 30.0  # seconds after which a publisher that has not ended is taken to be dead

PACKAGES = ("olmix-flows", "prefect", "torch", "numpy", "scipy", "cvxpy", "tokenizers", "pyarrow")


@dataclass(frozen=True)
class MixDraft:
    """What is published: the parts of a run that are facts about its mixture."""

    name: str
    domains: DomainSet
    tasks: Sequence[EvaluationTask]
    statistics: Mapping[str, LeafStatistics]  # by leaf
    natural: Mapping[str, float]
    proposal: Mapping[str, Any]  # result of step `propose`
    wish: Mapping[str, Any]  # its payload
    surrogate: Surrogate
    diagnostics: bytes
    trade_offs: bytes
    runs: Sequence[FittedRun]  # that the surrogate was fitted to
    plan: Mapping[str, Any]  # result of step `plan`
    target_tokens: float
    tokenizer: Mapping[str, Any]  # {settings, fingerprint}
    settings: Mapping[str, Any]  # of the configuration: proxy, swarm, surrogate, proposal
    proxies: Sequence[Mapping[str, Any]]  # results of step `train`
    evidence: str
    keys: Mapping[str, Sequence[str]]  # of all results, by step
    base: str | None = None  # the version that was built on
    change: DomainDiff | None = None  # of the domain set since then
    splits: Split = field(default_factory=dict)  # how leaves are written in atoms
    contents: Mapping[str, Sequence[File]] = field(default_factory=dict)  # files of what splits speak of
    carried_over: int = 0  # proxies of earlier versions and of the pool that the law was fitted to as well
    pool: Mapping[str, Any] = field(
        default_factory=dict
    )  # what was pinned of the ledger (see `olmix_core.evidence.pooling`)
    pooled: int = 0  # proxies of the pool
    swarms: Sequence[Mapping[str, Any]] = ()  # what each swarm is to a pooled law (see `pooling`)
    origins: Mapping[str, Sequence[str]] = field(default_factory=dict)  # {leaf: leaves that its content comes from}
    standard_errors: Mapping[str, float] = field(default_factory=dict)  # of sampled tasks, mean over proxies
    evaluation_seconds: float | None = None  # mean over proxies and tasks; None where nothing was measured
    excluded: Sequence[str] = ()  # why proxies of the swarm were left out, by name
    left_out: Mapping[str, int] = field(default_factory=dict)  # proxies on record that were not used, by reason

    @property
    def identity(self) -> str:
        """Equal for two mixes that say the same under the same labels."""
        return digest(
            {
                "proposal": self.proposal["proposal"],
                "leaves": self.domains.labels,
                "tasks": {task.fingerprint: task.label for task in self.tasks},
            }
        )


def publish(store: Store, mix: MixDraft, accounting: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Write a new version of `mix`, unless the latest says the same. Returns its mix.json.

    `accounting` is {step: {executed, cached}} of the run that publishes. Of several publishers at once each ends with
    a version of its own, or with that of another who says the same, and latest.json with the newest.
    """
    while True:
        parent = latest_version(store, mix.name)
        previous = read_mix(store, mix.name, parent) if parent else None
        if previous is not None and previous["identity"] == mix.identity:
            return previous
        found = _claimed(store, mix, parent, previous, accounting)
        if found is not None:
            break
    record, contents = found
    for file, content in contents.items():
        store.write_bytes(version_path(mix.name, record["version"], file), content)
    latest, number = latest_path(mix.name), number_of(record["version"])
    advance(
        store,
        latest,
        seal({"version": record["version"]}),
        lambda current: number_of(unseal(current, store.place(latest))["version"]) < number,
    )
    return record


def _claimed(
    store: Store,
    mix: MixDraft,
    parent: str | None,
    previous: Mapping[str, Any] | None,
    accounting: Mapping[str, Mapping[str, int]],
) -> tuple[dict[str, Any], dict[str, bytes]] | None:
    """mix.json of a version after `parent` that is ours to fill, and the files beside it.

    None where another publisher has ended meanwhile. mix.json is what claims a version: it is written first, by one
    publisher only.
    """
    table, number = mix_table(mix, previous), number_of(parent)
    deadline = time.monotonic() + PUBLISHING
    while True:
        number += 1
        version = f"v{number:04d}"
        path = version_path(mix.name, version, RECORD_FILE)
        contents = _contents(store, mix, version, parent, table)
        record = _record(mix, version, parent, previous, table, accounting)
        record["files"] = {file: checksum(content) for file, content in contents.items()}
        if create_exclusive(store, path, seal(record)):
            return record, contents
        claimed: dict[str, Any] = store.read_json(path)
        if all(claimed[field] == record[field] for field in ("identity", "parent", "files")):
            return claimed, contents  # the same, by a publisher at this moment or one that was killed
        while time.monotonic() < deadline:
            if latest_version(store, mix.name) != parent:
                return None
            time.sleep(PUBLISHING / 60)
        # Whoever claimed it was killed, and the number stays unused.


def _contents(store: Store, mix: MixDraft, version: str, parent: str | None, table: pd.DataFrame) -> dict[str, bytes]:
    """The files of a version beside mix.json."""
    return {
        TABLE_FILE: table.to_csv(index=False, lineterminator="\n").encode(),
        SURROGATE_FILE: seal(surrogate(mix)),
        DIAGNOSTICS_FILE: diagnostics(mix),
        TRADE_OFFS_FILE: mix.trade_offs,
        PLAN_FILE: seal(plan(mix)),
        RUNS_FILE: to_parquet(runs(store, mix, version, parent)),
    }


def mix_table(mix: MixDraft, previous: Mapping[str, Any] | None) -> pd.DataFrame:
    """mix.csv: a row per leaf, the heaviest first."""
    before = {} if previous is None else previous["weights_by_content"]
    rows = []
    for leaf in mix.domains.leaves:
        content = leaf.fingerprint
        weight, natural = mix.proposal["weights"][content], mix.natural[content]
        available = mix.statistics[content].available
        price, asked = mix.proposal["shadow_prices"][content], mix.settings["proposal"]
        sequences = mix.proposal["sequences"][content]
        rows.append(
            {
                "domain": leaf.label,
                "tokens": available,
                "natural": natural,
                "weight": weight,
                "ratio": weight / natural,
                "sequences": sequences,
                "epochs": sequences * asked["sequence_length"] / available,
                "cap": mix.proposal["caps"][content],
                "at_cap": mix.proposal["at_cap"][content],
                # The dual is per unit of weight; 1 % of R is a weight of 0.01.
                "shadow_price": 0.01 * price,
                "per_billion_tokens": price * asked["repetition"] * 1e9 / mix.target_tokens,
                "previous": before.get(content),
            }
        )
    return pd.DataFrame(rows).sort_values(["weight", "domain"], ascending=[False, True])


def _record(
    mix: MixDraft,
    version: str,
    parent: str | None,
    previous: Mapping[str, Any] | None,
    table: pd.DataFrame,
    accounting: Mapping[str, Mapping[str, int]],
) -> dict[str, Any]:
    leaves = mix.surrogate.leaves
    labels = mix.domains.labels
    weights = {task.fingerprint: task.weight for task in mix.tasks}
    task_weights = np.array([weights[task] for task in mix.surrogate.tasks])
    known = {"natural": mix.natural, "proposed": mix.proposal["weights"]}
    if previous is not None:
        known["previous"] = previous["weights_by_content"]
    if mix.proposal["full_reuse"] is not None:
        known["full_reuse"] = mix.proposal["full_reuse"]
    over_atoms = {name: in_atoms(mixture, mix.splits) for name, mixture in known.items()}
    mixtures = {
        name: np.array([mixture.get(leaf, 0.0) for leaf in leaves])
        for name, mixture in over_atoms.items()
        if mixture.keys() <= set(leaves)  # the law can only speak of content that some proxy saw
    }
    predicted = {name: interval(mix.surrogate, q, task_weights).to_json() for name, q in mixtures.items()}
    gains = {
        f"over_{name}": interval(mix.surrogate, mixtures["proposed"], task_weights, q).to_json()
        for name, q in mixtures.items()
        if name != "proposed"
    }
    by_task = {name: mix.surrogate.predict(q[None])[0] for name, q in mixtures.items()}
    position = {task: index for index, task in enumerate(mix.surrogate.tasks)}
    return {
        "name": mix.name,
        "version": version,
        "parent": parent,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "identity": mix.identity,
        "weights": dict(zip(table["domain"], table["weight"], strict=True)),
        "weights_by_content": dict(mix.proposal["weights"]),
        "predicted": predicted,
        "gain": gains,
        "tasks": [
            {
                "name": task.label,
                "family": task.family,
                "fingerprint": task.fingerprint,
                "weight": task.weight,
                "standard_error": mix.standard_errors.get(task.fingerprint),
                **{name: float(bpb[position[task.fingerprint]]) for name, bpb in by_task.items()},
            }
            for task in sorted(mix.tasks, key=lambda task: task.label)
        ],
        "domain_set": [
            {
                "label": leaf.label,
                "fingerprint": leaf.fingerprint,
                **mix.statistics[leaf.fingerprint].to_json(),
                "bytes_per_token": mix.statistics[leaf.fingerprint].bytes_per_token,
                "contents": [list(content) for content in leaf.contents],
            }
            for leaf in sorted(mix.domains.leaves, key=lambda leaf: leaf.label)
        ],
        "target_tokens": mix.target_tokens,
        "run_tokens": sum(mix.proposal["sequences"].values()) * mix.settings["proposal"]["sequence_length"],
        "settings": dict(mix.settings),
        "tokenizer": dict(mix.tokenizer),
        "evidence": mix.evidence,
        "pool": dict(mix.pool),
        "proxies": {
            "swarm": len(mix.proxies),
            "carried_over": mix.carried_over,
            "pooled": mix.pooled,
            "left_out": dict(mix.left_out),
            "diverged": len(mix.excluded),
            "tokens": sum(proxy["tokens"] for proxy in mix.proxies),
            "seconds": sum(proxy["seconds"] for proxy in mix.proxies),
            "parameters": mix.proxies[0]["parameters"] if mix.proxies else None,
            # What this domain set would have cost with every domain free.
            "full_recompute": default_runs(len(mix.domains.free_columns)),
        },
        "speed": _speed(mix, previous),
        "wish": wish(mix),
        "solver": {name: mix.proposal[name] for name in ("status", "gap", "residual")},
        "flags": {mix_label(mix, task): reason for task, reason in mix.surrogate.flags.items()},
        "notes": _notes(mix),
        "swarms": list(mix.swarms),
        "base": mix.base,
        "change": change(mix),
        "removed": [] if mix.change is None else sorted(mix.change.old_labels[leaf] for leaf in mix.change.removed),
        "origins": {leaf: list(old) for leaf, old in mix.origins.items()},
        "plan": plan(mix),
        "splits": {leaf: dict(parts) for leaf, parts in mix.splits.items()},
        "contents": {leaf: [list(file) for file in files] for leaf, files in mix.contents.items()},
        "loosened": [labels[leaf] for leaf in mix.proposal["loosened"]],
        "keys": {step: list(keys) for step, keys in mix.keys.items()},
        "run": {step: dict(counts) for step, counts in accounting.items()},
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
    }


def _notes(mix: MixDraft) -> list[str]:
    """What a reader should know of the fit and of the proxies it rests on."""
    warning = caution(mix.proxies[0]["parameters"]) if mix.proxies else None
    return [*mix.surrogate.notes, *mix.excluded, *([warning] if warning else [])]


def _speed(mix: MixDraft, previous: Mapping[str, Any] | None) -> dict[str, float]:
    """Seconds per token trained and per evaluation, of one worker, for the estimates of later plans."""
    found = {} if previous is None else dict(previous["speed"])
    tokens = sum(proxy["tokens"] for proxy in mix.proxies)
    if tokens:
        found["train_seconds_per_token"] = sum(proxy["seconds"] for proxy in mix.proxies) / tokens
    if mix.evaluation_seconds is not None:
        found["evaluate_seconds"] = mix.evaluation_seconds
    return found
