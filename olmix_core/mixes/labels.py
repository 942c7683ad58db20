"""What a version keeps of its parts, in the labels of the version: people read labels, the software knows contents."""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pandas as pd

from olmix_core.mixes.runs import FittedRun, from_parquet
from olmix_core.storage.layout import RUNS_FILE, proxy_run_path, version_path
from olmix_core.storage.store import Store

if TYPE_CHECKING:
    from olmix_core.mixes.publish import MixDraft

_READERS = 16  # files of the store read at once


def mix_label(mix: "MixDraft", task: str) -> str:
    return next((t.label for t in mix.tasks if t.fingerprint == task), task)


def surrogate(mix: "MixDraft") -> dict[str, Any]:
    record: dict[str, Any] = dict(mix.surrogate.to_json())
    labels = mix.domains.labels
    # An atom that is no leaf of today (removed, revised, merged) has no label.
    record["domains"] = [{"label": labels.get(leaf), "fingerprint": leaf} for leaf in mix.surrogate.leaves]
    record["tasks"] = {mix_label(mix, task): law for task, law in record["tasks"].items()}
    record["flags"] = {mix_label(mix, task): reason for task, reason in record["flags"].items()}
    return record


def diagnostics(mix: "MixDraft") -> bytes:
    table = pd.read_csv(io.BytesIO(mix.diagnostics), dtype={"task": str}, keep_default_na=False)
    table["task"] = [mix_label(mix, task) for task in table["task"]]
    return table.to_csv(index=False, lineterminator="\n").encode()


def runs(store: Store, mix: "MixDraft", version: str, parent: str | None) -> list[FittedRun]:
    """The runs with labels, the version whose swarm each belongs to, and how its loss fell."""
    known: dict[str, FittedRun] = {}
    for earlier in filter(None, (parent, mix.base)):
        path = version_path(mix.name, earlier, RUNS_FILE)
        known |= {run.run: run for run in from_parquet(store.read_bytes(path))} if store.exists(path) else {}
    swarm = {proxy["proxy"] for proxy in mix.proxies}
    labels = {**mix.domains.labels, **{task.fingerprint: task.label for task in mix.tasks}}

    def labelled(run: FittedRun) -> FittedRun:
        before = known.get(run.run)
        return FittedRun(
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
        return [(step, loss) for step, loss in store.read_json(proxy_run_path(proxy)).get("losses", [])]
    except FileNotFoundError:  # somebody made room
        return ()


def wish(mix: "MixDraft") -> dict[str, Any]:
    """Bounds and reference of the proposal with labels."""
    labels, reference = mix.domains.labels, mix.wish["reference"]
    return {
        "bounds": [
            {"domains": [labels[leaf] for leaf in leaves], "low": low, "high": high}
            for leaves, low, high in mix.wish["bounds"]
        ],
        "reference": None if reference is None else {labels[leaf]: share for leaf, share in reference.items()},
    }


def plan(mix: "MixDraft") -> dict[str, Any]:
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


def change(mix: "MixDraft") -> dict[str, str]:
    """{label: what happened to it since the base}; empty for a first version."""
    if mix.change is None:
        return {}
    return {leaf.label: mix.change.kind(leaf.fingerprint) for leaf in mix.domains.leaves}
