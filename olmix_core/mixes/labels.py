"""The parts of a version in the labels of the version: people read labels, the software knows contents."""

import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import cast

import pandas as pd

from olmix_core.mixes.draft import MixDraft
from olmix_core.mixes.record_parts import BoundRecord, Column, CouplingRecord, PlanRecord, RequestRecord
from olmix_core.mixes.runs import FittedRun, from_parquet
from olmix_core.serialization import JsonMapping
from olmix_core.storage.layout import RUNS_FILE, proxy_run_path, version_path
from olmix_core.storage.store import Store
from olmix_core.surrogate.scaling.target_surrogate import TargetSurrogate
from olmix_core.surrogate.surrogate_json import SurrogateJSON

_READERS = 16  # files of the store read at once


def label_task(draft: MixDraft, task: str) -> str:
    """Look up the label of a task.

    Args:
        draft: The mix.
        task: Fingerprint of the task, or `objective`.

    Returns:
        The label; `task` itself where it is no task of the mix.
    """
    return next((t.label for t in draft.tasks if t.fingerprint == task), task)


def label_surrogate(draft: MixDraft) -> SurrogateJSON:
    """Make the content of surrogate.json.

    Args:
        draft: The mix.

    Returns:
        The JSON of the law, tasks by label. A column has a fingerprint and, where it is a leaf of today, a label.
    """
    law = cast(SurrogateJSON, dict(draft.law.surrogate.to_json()))
    labels = draft.domains.labels
    law["domains"] = [{"label": labels.get(leaf), "fingerprint": leaf} for leaf in draft.law.surrogate.leaves]
    law["tasks"] = {label_task(draft, task): parameters for task, parameters in law["tasks"].items()}
    law["flags"] = {label_task(draft, task): reason for task, reason in law["flags"].items()}
    return law


def label_target(draft: MixDraft, target: TargetSurrogate) -> JsonMapping:
    """Make the content of target.json.

    Args:
        draft: The mix.
        target: Its law at the size of the target run.

    Returns:
        The JSON of the law at the target, with the law itself as in surrogate.json.
    """
    return {**target.to_json(), "law": label_surrogate(draft)}


def label_diagnostics(draft: MixDraft) -> bytes:
    """Make diagnostics.csv.

    Args:
        draft: The mix.

    Returns:
        The content of the file, tasks by label.
    """
    table = pd.read_csv(io.BytesIO(draft.law.diagnostics), dtype={"task": str}, keep_default_na=False)
    table["task"] = [label_task(draft, task) for task in table["task"]]
    return table.to_csv(index=False, lineterminator="\n").encode()


def label_runs(store: Store, draft: MixDraft, version: str, parent: str | None) -> list[FittedRun]:
    """Label the runs, and say which version's swarm each belongs to and how its loss fell.

    Args:
        store: Where losses and earlier versions are read.
        draft: The mix.
        version: The version that is being published.
        parent: The version before, whose runs are labelled already.

    Returns:
        The runs that the law was fitted to.

    Raises:
        StoreError: A file of the store cannot be read.
    """
    published: dict[str, FittedRun] = {}
    for earlier in filter(None, (parent, draft.descent.base)):
        path = version_path(draft.name, earlier, RUNS_FILE)
        published |= {run.run: run for run in from_parquet(store.read_bytes(path))} if store.exists(path) else {}
    swarm = {proxy.proxy for proxy in draft.swarm.proxies}
    labels = draft.labels

    def label_run(run: FittedRun) -> FittedRun:
        before = published.get(run.run)
        return replace(
            run,
            mixture=_relabel(run.mixture, labels),
            measured=_relabel(run.measured, labels),
            predicted=_relabel(run.predicted, labels),
            std=_relabel(run.std, labels),
            vintage=before.vintage if before else version if run.run in swarm else None,
            losses=before.losses if before else _losses(store, run.run),
        )

    # On an object store a file takes long to come, and many come at once.
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(label_run, draft.law.runs))


def _relabel(values: Mapping[str, float], labels: Mapping[str, str]) -> dict[str, float]:
    """The values by label; a key that has no label stays."""
    return {labels.get(key, key): value for key, value in values.items()}


def _losses(store: Store, proxy: str) -> Sequence[tuple[int, float]]:
    try:
        return [(step, loss) for step, loss in store.read_json(proxy_run_path(proxy)).get("losses", [])]
    except FileNotFoundError:  # the proxy was removed by `olmix store gc`
        return ()


def label_request(draft: MixDraft) -> RequestRecord:
    """Label bounds and reference of the proposal.

    Args:
        draft: The mix.

    Returns:
        The part `wish` of the record.
    """
    labels, request = draft.domains.labels, draft.proposal.request
    return RequestRecord(
        bounds=tuple(
            BoundRecord(domains=tuple(labels[leaf] for leaf in bound.leaves), low=bound.low, high=bound.high)
            for bound in request.bounds
        ),
        reference=None if request.reference is None else _label_column(request.reference, labels),
    )


def label_plan(draft: MixDraft) -> PlanRecord:
    """Label the plan: columns, kept leaves, runs, and the coupling of every kept leaf.

    Args:
        draft: The mix.

    Returns:
        The content of plan.json.
    """
    labels, plan = draft.domains.labels, draft.descent.plan
    return PlanRecord(
        columns=tuple(_label_column(column, labels) for column in plan.columns),
        kept=tuple(sorted(labels[leaf] for leaf in plan.kept)),
        released=tuple(sorted(labels[leaf] for leaf in plan.released)),
        runs=plan.runs,
        reusable=None if plan.reusable is None else tuple(_label_column(column, labels) for column in plan.reusable),
        coupling=None if plan.coupling is None else _label_coupling(plan.coupling, labels),
    )


def _label_column(column: Mapping[str, float], labels: Mapping[str, str]) -> Column:
    return {labels[leaf]: share for leaf, share in column.items()}


def _label_coupling(coupling: CouplingRecord, labels: Mapping[str, str]) -> CouplingRecord:
    released, leaves = (
        tuple(of_leaf.model_copy(update={"leaf": labels[of_leaf.leaf]}) for of_leaf in part)
        for part in (coupling.released, coupling.leaves)
    )
    resembles = {labels[leaf]: _label_column(shares, labels) for leaf, shares in coupling.resembles.items()}
    return CouplingRecord(
        before=coupling.before, after=coupling.after, released=released, leaves=leaves, resembles=resembles
    )


def describe_change(draft: MixDraft) -> dict[str, str]:
    """Describe what happened to each leaf since the base.

    Args:
        draft: The mix.

    Returns:
        {label: kind of change}; empty for a first version.
    """
    if draft.descent.change is None:
        return {}
    return {leaf.label: draft.descent.change.kind(leaf.fingerprint) for leaf in draft.domains.leaves}
