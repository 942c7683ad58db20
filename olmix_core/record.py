"""The record of a published mix: everything that a person or a later update needs to know about it.

    mixes/<name>/<version>/    mix.json, mix.csv, surrogate.json, diagnostics.csv, trade_offs.csv, plan.json,
                               runs.parquet, report.html
    mixes/<name>/latest.json   {"version"}: written last, so that it never points at something half-written

mix.json is written first: it claims the version, so that two publishers never write into one folder. A version is a
mixture and what it rests on. Publishing the same again changes nothing and keeps its version.
"""

import importlib.metadata
import io
import json
import platform
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from olmix_core.carry import File, Split, in_atoms
from olmix_core.change import Change
from olmix_core.corpus import LeafStatistics
from olmix_core.domains import DomainSet
from olmix_core.errors import StoreError
from olmix_core.exclusive import advance, create
from olmix_core.family import Model, interval
from olmix_core.fingerprint import digest
from olmix_core.recipe import caution
from olmix_core.runs import Run, from_parquet, to_parquet
from olmix_core.store import Store, as_json
from olmix_core.suite import EvaluationTask
from olmix_core.swarm import default_runs

_READERS = 16  # files of the store read at once
PUBLISHING = 30.0  # seconds after which a publisher that has not ended is taken to be dead

PACKAGES = ("olmix-flows", "prefect", "torch", "numpy", "scipy", "cvxpy", "tokenizers", "pyarrow")


@dataclass(frozen=True)
class Mix:
    """What is published: the parts of a run that are facts about its mixture."""

    name: str
    domains: DomainSet
    tasks: Sequence[EvaluationTask]
    statistics: Mapping[str, LeafStatistics]  # by leaf
    natural: Mapping[str, float]
    proposal: Mapping[str, Any]  # result of step `propose`
    wish: Mapping[str, Any]  # its payload
    surrogate: Model
    diagnostics: bytes
    trade_offs: bytes
    runs: Sequence[Run]  # that the surrogate was fitted to
    plan: Mapping[str, Any]  # result of step `plan`
    target_tokens: float
    tokenizer: Mapping[str, Any]  # {settings, fingerprint}
    settings: Mapping[str, Any]  # of the configuration: proxy, swarm, surrogate, proposal
    proxies: Sequence[Mapping[str, Any]]  # results of step `train`
    evidence: str
    keys: Mapping[str, Sequence[str]]  # of all results, by step
    base: str | None = None  # the version that was built on
    change: Change | None = None  # of the domain set since then
    splits: Split = field(default_factory=dict)  # how leaves are written in atoms
    contents: Mapping[str, Sequence[File]] = field(default_factory=dict)  # files of what splits speak of
    carried_over: int = 0  # proxies of earlier versions and of the pool that the law was fitted to as well
    pool: Mapping[str, Any] = field(default_factory=dict)  # what was pinned of the ledger (see `flows.carry_over`)
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


def mix_folder(name: str, version: str) -> str:
    return f"mixes/{name}/{version}"


def latest_version(store: Store, name: str) -> str | None:
    """The version published last under `name`, or None."""
    try:
        return str(store.read_json(f"mixes/{name}/latest.json")["version"])
    except FileNotFoundError:
        return None


def read_mix(store: Store, name: str, version: str | None = None) -> dict[str, Any]:
    """mix.json of a version, by default the latest. Raises StoreError where there is none."""
    version = version or latest_version(store, name)
    if version is None:
        known = ", ".join(store.list("mixes")) or "none"
        raise StoreError(f"{store.url}: found no mix called {name!r}; expected one of: {known}")
    try:
        record = dict(store.read_json(f"{mix_folder(name, version)}/mix.json"))
    except FileNotFoundError as error:
        known = ", ".join(v for v in store.list(f"mixes/{name}") if v.startswith("v")) or "none"
        raise StoreError(f"{store.url}: mix {name!r} has no version {version!r}; expected one of: {known}") from error
    if "pool" not in record:
        raise StoreError(
            f"{store.url}: mix {name!r} {version}: found a record from before evidence was a ledger; expected one that"
            " this version wrote: name another store, where a run begins anew"
        )
    return record


def publish(store: Store, mix: Mix, accounting: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Write a new version of `mix`, unless the latest says the same. Returns its mix.json.

    `accounting` is {step: {executed, cached}} of the run that publishes. Of several publishers at once each ends with
    a version of its own, or with that of another who says the same, and latest.json with the newest.
    """
    while True:
        parent = latest_version(store, mix.name)
        previous = read_mix(store, mix.name, parent) if parent else None
        if previous is not None and previous["identity"] == mix.identity:
            return previous
        record = _claimed(store, mix, parent, previous, accounting)
        if record is not None:
            break
    folder, table = mix_folder(mix.name, record["version"]), mix_table(mix, previous)
    store.write_bytes(f"{folder}/mix.csv", table.to_csv(index=False, lineterminator="\n").encode())
    store.write_json(f"{folder}/surrogate.json", _labelled_surrogate(mix))
    store.write_bytes(f"{folder}/diagnostics.csv", _labelled_diagnostics(mix))
    store.write_bytes(f"{folder}/trade_offs.csv", mix.trade_offs)
    store.write_json(f"{folder}/plan.json", _labelled_plan(mix))
    store.write_bytes(f"{folder}/runs.parquet", to_parquet(_labelled_runs(store, mix, record["version"], parent)))
    number = _number(record["version"])
    advance(
        store,
        f"mixes/{mix.name}/latest.json",
        as_json({"version": record["version"]}),
        lambda current: _number(json.loads(current)["version"]) < number,
    )
    return record


def _claimed(
    store: Store,
    mix: Mix,
    parent: str | None,
    previous: Mapping[str, Any] | None,
    accounting: Mapping[str, Mapping[str, int]],
) -> dict[str, Any] | None:
    """mix.json of a version after `parent` that is ours to fill; None where another publisher has ended meanwhile.

    mix.json is what claims a version: it is written first, by one publisher only.
    """
    table, number = mix_table(mix, previous), _number(parent)
    deadline = time.monotonic() + PUBLISHING
    while True:
        number += 1
        version = f"v{number:04d}"
        folder = mix_folder(mix.name, version)
        record = _record(mix, version, parent, previous, table, accounting)
        if create(store, f"{folder}/mix.json", as_json(record)):
            return record
        claimed: dict[str, Any] = store.read_json(f"{folder}/mix.json")
        if claimed["identity"] == mix.identity and claimed["parent"] == parent:
            return claimed  # the same, by a publisher at this moment or one that was killed: its files are these
        while time.monotonic() < deadline:
            if latest_version(store, mix.name) != parent:
                return None
            time.sleep(PUBLISHING / 60)
        # Whoever claimed it was killed, and the number stays unused.


def next_version(store: Store, name: str) -> str:
    """The version that is published next under `name`."""
    return f"v{_number(latest_version(store, name)) + 1:04d}"


def _number(version: str | None) -> int:
    match = re.fullmatch(r"v(\d+)", version or "v0")
    if match is None:
        raise StoreError(f"found the mix version {version!r}; expected v and a number")
    return int(match.group(1))


def read_table(content: bytes) -> pd.DataFrame:
    """mix.csv read back."""
    return read_labelled(content, "domain")


def read_labelled(content: bytes, *labels: str) -> pd.DataFrame:
    """A CSV file whose columns `labels` are text whatever they spell (NA, 1e5 ...); an empty number is NaN."""
    columns = pd.read_csv(io.BytesIO(content), nrows=0).columns
    empty = {name: [""] for name in columns if name not in labels}
    return pd.read_csv(
        io.BytesIO(content),
        dtype=dict.fromkeys(labels, str),
        keep_default_na=False,
        na_values=empty,
    )


def read_trade_offs(store: Store, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of trade_offs.csv of a version; None where a wish cannot be met."""
    content = store.read_bytes(f"{mix_folder(record['name'], record['version'])}/trade_offs.csv")
    table = pd.read_csv(io.BytesIO(content)).astype(object)
    rows: list[Any] = table.where(table.notna(), None).to_dict("records")
    return rows


def mix_table(mix: Mix, previous: Mapping[str, Any] | None) -> pd.DataFrame:
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
    mix: Mix,
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
    predicted = {name: interval(mix.surrogate, q, task_weights) for name, q in mixtures.items()}
    gains = {
        f"over_{name}": interval(mix.surrogate, mixtures["proposed"], task_weights, q)
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
            "full_recompute": default_runs(len(mix.domains.units)),
        },
        "speed": _speed(mix, previous),
        "wish": _labelled_wish(mix),
        "solver": {name: mix.proposal[name] for name in ("status", "gap", "residual")},
        "flags": {mix_label(mix, task): reason for task, reason in mix.surrogate.flags.items()},
        "notes": _notes(mix),
        "swarms": list(mix.swarms),
        "base": mix.base,
        "change": _labelled_change(mix),
        "removed": [] if mix.change is None else sorted(mix.change.old_labels[leaf] for leaf in mix.change.removed),
        "origins": {leaf: list(old) for leaf, old in mix.origins.items()},
        "plan": _labelled_plan(mix),
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


def _notes(mix: Mix) -> list[str]:
    """What a reader should know of the fit and of the proxies it rests on."""
    warning = caution(mix.proxies[0]["parameters"]) if mix.proxies else None
    return [*mix.surrogate.notes, *mix.excluded, *([warning] if warning else [])]


def _speed(mix: Mix, previous: Mapping[str, Any] | None) -> dict[str, float]:
    """Seconds per token trained and per evaluation, of one worker, for the estimates of later plans."""
    found = {} if previous is None else dict(previous["speed"])
    tokens = sum(proxy["tokens"] for proxy in mix.proxies)
    if tokens:
        found["train_seconds_per_token"] = sum(proxy["seconds"] for proxy in mix.proxies) / tokens
    if mix.evaluation_seconds is not None:
        found["evaluate_seconds"] = mix.evaluation_seconds
    return found


def mix_label(mix: Mix, task: str) -> str:
    return next((t.label for t in mix.tasks if t.fingerprint == task), task)


def _labelled_surrogate(mix: Mix) -> dict[str, Any]:
    record = mix.surrogate.to_json()
    labels = mix.domains.labels
    # An atom that is no leaf of today (removed, revised, merged) has no label.
    record["domains"] = [{"label": labels.get(leaf), "fingerprint": leaf} for leaf in mix.surrogate.leaves]
    record["tasks"] = {mix_label(mix, task): law for task, law in record["tasks"].items()}
    record["flags"] = {mix_label(mix, task): reason for task, reason in record["flags"].items()}
    return record


def _labelled_diagnostics(mix: Mix) -> bytes:
    table = pd.read_csv(io.BytesIO(mix.diagnostics), dtype={"task": str}, keep_default_na=False)
    table["task"] = [mix_label(mix, task) for task in table["task"]]
    return table.to_csv(index=False, lineterminator="\n").encode()


def _labelled_runs(store: Store, mix: Mix, version: str, parent: str | None) -> list[Run]:
    """The runs with labels, the version whose swarm each belongs to, and how its loss fell."""
    known: dict[str, Run] = {}
    for earlier in filter(None, (parent, mix.base)):
        path = f"{mix_folder(mix.name, earlier)}/runs.parquet"
        known |= {run.run: run for run in from_parquet(store.read_bytes(path))} if store.exists(path) else {}
    swarm = {proxy["proxy"] for proxy in mix.proxies}
    labels = {**mix.domains.labels, **{task.fingerprint: task.label for task in mix.tasks}}

    def labelled(run: Run) -> Run:
        before = known.get(run.run)
        return Run(
            run=run.run,
            vintage=before.vintage if before else version if run.run in swarm else None,
            losses=before.losses if before else _losses(store, run.run),
            **{
                name: {labels.get(key, key): value for key, value in getattr(run, name).items()}
                for name in ("mixture", "measured", "predicted", "std")
            },
        )

    # On an object store a file takes long to come, and many come at once.
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(labelled, mix.runs))


def _losses(store: Store, proxy: str) -> Sequence[tuple[int, float]]:
    try:
        return [(step, loss) for step, loss in store.read_json(f"proxies/{proxy}/run.json").get("losses", [])]
    except FileNotFoundError:  # somebody made room
        return ()


def _labelled_wish(mix: Mix) -> dict[str, Any]:
    """Bounds and reference of the proposal with labels."""
    labels, reference = mix.domains.labels, mix.wish["reference"]
    return {
        "bounds": [
            {"domains": [labels[leaf] for leaf in leaves], "low": low, "high": high}
            for leaves, low, high in mix.wish["bounds"]
        ],
        "reference": None if reference is None else {labels[leaf]: share for leaf, share in reference.items()},
    }


def _labelled_plan(mix: Mix) -> dict[str, Any]:
    """The plan with labels: columns, kept leaves, runs, and the coupling of every kept leaf."""
    labels, plan = mix.domains.labels, mix.plan
    found: dict[str, Any] = {
        "columns": [{labels[leaf]: share for leaf, share in column.items()} for column in plan["columns"]],
        "kept": sorted(labels[leaf] for leaf in plan["kept"]),
        "released": sorted(labels[leaf] for leaf in plan["released"]),
        "runs": plan["runs"],
        "reusable": None,
        "coupling": None,
    }
    if plan["reusable"] is not None:
        found["reusable"] = [{labels[leaf]: share for leaf, share in column.items()} for column in plan["reusable"]]
    if plan["coupling"] is not None:
        coupling = dict(plan["coupling"])
        for part in ("released", "leaves"):
            coupling[part] = [{**one, "leaf": labels[one["leaf"]]} for one in coupling[part]]
        coupling["resembles"] = {
            labels[leaf]: {labels[one]: share for one, share in shares.items()}
            for leaf, shares in coupling["resembles"].items()
        }
        found["coupling"] = coupling
    return found


def _labelled_change(mix: Mix) -> dict[str, str]:
    """{label: what happened to it since the base}; empty for a first version."""
    if mix.change is None:
        return {}
    return {leaf.label: mix.change.kind(leaf.fingerprint) for leaf in mix.domains.leaves}
