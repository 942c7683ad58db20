"""Build the record of a version from a draft of its mix."""

import importlib.metadata
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd

from olmix_core.config.defaults import default_runs
from olmix_core.config.recipe import caution
from olmix_core.data.overlap.remarks import file_remarks, overlap_remarks
from olmix_core.evidence.atoms import in_atoms
from olmix_core.formatting import amount
from olmix_core.mixes.draft import MixDraft
from olmix_core.mixes.labels import describe_change, label_plan, label_request, label_task
from olmix_core.mixes.predicted_mixtures import predict_mixtures
from olmix_core.mixes.record import MixRecord
from olmix_core.mixes.record_parts import (
    LeafRecord,
    ProxyCounts,
    SolverRecord,
    Speed,
    StepCounts,
    TaskRecord,
)
from olmix_core.mixes.target_record import TargetRecord, target_record, target_remarks
from olmix_core.mixes.undecided_gains import undecided_remarks
from olmix_core.mixture import Array, LeafIndex
from olmix_core.proposal.convex import NOT_PROVED
from olmix_core.surrogate.trust import merged_flags, mixture_flags

PACKAGES = ("olmix-flows", "prefect", "torch", "numpy", "scipy", "cvxpy", "tokenizers", "pyarrow")


@dataclass(frozen=True)
class Publication:
    """Facts of a publication.

    Attributes:
        version: The version that is published.
        previous: The version before; None for a first one.
        run: {step: counts} of the run that publishes.
        files: {file: SHA-256} of the files beside mix.json.
    """

    version: str
    previous: MixRecord | None
    run: Mapping[str, StepCounts]
    files: Mapping[str, str]


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """Look up versions of what is installed.

    Args:
        packages: Names of distributions.

    Returns:
        {python or package: version}.
    """
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in packages}}


def now() -> str:
    """Read the clock.

    Returns:
        The time, UTC, as records write it.
    """
    return datetime.now(UTC).isoformat(timespec="seconds")


def build_record(draft: MixDraft, publication: Publication, table: pd.DataFrame) -> MixRecord:
    """Build mix.json of a version.

    Args:
        draft: The mix.
        publication: What is known of its publication.
        table: mix.csv; weights by label are in its order.

    Returns:
        The record.
    """
    previous = publication.previous
    task_weights = draft.proposal.request.weights_of_tasks(draft.law.surrogate)
    mixtures = _known_mixtures(draft, previous)
    values = predict_mixtures(draft.law.surrogate, mixtures, task_weights)
    flags = merged_flags(draft.law.surrogate.flags, mixture_flags(draft.law.surrogate, mixtures))
    law, proposal, descent = draft.law, draft.proposal, draft.descent
    labels, change = draft.domains.labels, descent.change
    return MixRecord(
        name=draft.name,
        version=publication.version,
        parent=None if previous is None else previous.version,
        created=now(),
        identity=draft.identity,
        weights=dict(zip(table["domain"], table["weight"], strict=True)),
        weights_by_content=dict(draft.proposal.weights),
        predicted=values.predicted,
        gain=values.gain,
        target=_target(draft, mixtures, task_weights),
        tasks=_tasks(draft, values.by_task),
        domain_set=_leaves(draft),
        target_tokens=proposal.target_tokens,
        run_tokens=sum(proposal.sequences.values()) * draft.settings.proposal.sequence_length,
        settings=draft.settings,
        tokenizer=draft.tokenizer,
        evidence=law.evidence,
        pool=law.pool,
        proxies=_proxies(draft),
        speed=_speed(draft, previous),
        request=label_request(draft),
        solver=proposal.solver,
        flags={label_task(draft, task): reason for task, reason in flags.items()},
        notes=(*_notes(draft), *_undecided(draft, mixtures, task_weights)),
        swarms=tuple(law.swarms),
        base=descent.base,
        change=describe_change(draft),
        removed=() if change is None else tuple(sorted(change.old_labels[leaf] for leaf in change.removed)),
        origins={leaf: tuple(old) for leaf, old in descent.origins.items()},
        plan=label_plan(draft),
        splits={leaf: dict(parts) for leaf, parts in descent.splits.items()},
        contents={leaf: tuple(files) for leaf, files in descent.contents.items()},
        loosened=tuple(labels[leaf] for leaf in proposal.loosened),
        step_keys={step: tuple(keys) for step, keys in draft.keys.items()},
        run=dict(publication.run),
        versions=package_versions(PACKAGES),
        files=dict(publication.files),
    )


def _target(draft: MixDraft, mixtures: Mapping[str, Array], task_weights: Array) -> TargetRecord | None:
    labels = [label_task(draft, task) for task in draft.law.surrogate.tasks]
    return None if draft.target is None else target_record(draft.target, mixtures, task_weights, labels)


def _known_mixtures(draft: MixDraft, previous: MixRecord | None) -> dict[str, Array]:
    """{mixture: weights over the columns of the law}, of mixtures over content that some proxy was trained on."""
    mixtures = {"natural": draft.natural, "proposed": draft.proposal.weights}
    if previous is not None:
        mixtures["previous"] = previous.weights_by_content
    if draft.proposal.full_reuse is not None:
        mixtures["full_reuse"] = draft.proposal.full_reuse
    columns = LeafIndex(draft.law.surrogate.leaves)
    over_atoms = {name: in_atoms(mixture, draft.descent.splits) for name, mixture in mixtures.items()}
    return {
        name: columns.vector(mixture) for name, mixture in over_atoms.items() if mixture.keys() <= set(columns.names)
    }


def _tasks(draft: MixDraft, by_task: Mapping[str, Array]) -> tuple[TaskRecord, ...]:
    """The tasks with their predicted BPB, by label."""
    position = {task: index for index, task in enumerate(draft.law.surrogate.tasks)}
    records = []
    for task in sorted(draft.tasks, key=lambda task: task.label):
        predicted = {name: float(bpb[position[task.fingerprint]]) for name, bpb in by_task.items()}
        records.append(
            TaskRecord(
                name=task.label,
                family=task.family,
                fingerprint=task.fingerprint,
                weight=task.weight,
                standard_error=draft.swarm.standard_errors.get(task.fingerprint),
                natural=predicted["natural"],
                proposed=predicted["proposed"],
                previous=predicted.get("previous"),
                full_reuse=predicted.get("full_reuse"),
            )
        )
    return tuple(records)


def _leaves(draft: MixDraft) -> tuple[LeafRecord, ...]:
    """The leaves with their statistics, by label."""
    records = []
    for leaf in sorted(draft.domains.leaves, key=lambda leaf: leaf.label):
        statistics = draft.statistics[leaf.fingerprint]
        records.append(
            LeafRecord(
                label=leaf.label,
                fingerprint=leaf.fingerprint,
                documents=statistics.documents,
                bytes=statistics.bytes,
                tokens=statistics.tokens,
                heldout_tokens=statistics.heldout_tokens,
                heldout_bytes=statistics.heldout_bytes,
                bytes_per_token=statistics.bytes_per_token,
                stands_for=None if leaf.sample is None else draft.tokens(leaf),
                excluded_tokens=draft.overlap.excluded_tokens(leaf.fingerprint) or None,
                contents=tuple(leaf.contents),
            )
        )
    return tuple(records)


def _proxies(draft: MixDraft) -> ProxyCounts:
    return ProxyCounts(
        swarm=len(draft.swarm.proxies),
        carried_over=draft.law.carried_over,
        pooled=draft.law.pooled,
        left_out=dict(draft.law.left_out),
        diverged=len(draft.swarm.excluded),
        tokens=draft.swarm.tokens,
        seconds=draft.swarm.seconds,
        parameters=draft.swarm.parameters,
        full_recompute=default_runs(len(draft.domains.free_columns)),
    )


def _speed(draft: MixDraft, previous: MixRecord | None) -> Speed:
    """The speed of this run, and that of earlier versions where this one trained or evaluated nothing."""
    speed = Speed() if previous is None else previous.speed
    swarm = draft.swarm
    if swarm.tokens:
        speed = speed.model_copy(update={"train_seconds_per_token": swarm.seconds / swarm.tokens})
    if swarm.evaluation_seconds is not None:
        speed = speed.model_copy(update={"evaluate_seconds": swarm.evaluation_seconds})
    return speed


def _notes(draft: MixDraft) -> tuple[str, ...]:
    """Remarks on samples, text that stands twice, the fit, proxies that were left out, and the size of the proxies."""
    samples = [
        f"{leaf.label} stands for {amount(draft.tokens(leaf))} tokens, of which its files hold"
        f" {amount(draft.statistics[leaf.fingerprint].available)}"
        for leaf in sorted(draft.domains.leaves, key=lambda leaf: leaf.label)
        if leaf.sample is not None
    ]
    parameters = draft.swarm.parameters
    warning = None if parameters is None else caution(parameters)
    solver = draft.proposal.solver
    about_proxies = (*draft.swarm.excluded, *solver_notes(solver), *([warning] if warning else []))
    twice = (*file_remarks(draft.domains), *overlap_remarks(draft.overlap, draft.labels))
    return (*samples, *twice, *draft.law.surrogate.notes, *about_proxies)


def _undecided(draft: MixDraft, mixtures: Mapping[str, Array], task_weights: Array) -> tuple[str, ...]:
    proxies = len(draft.swarm.proxies)
    seconds = draft.swarm.seconds / proxies if proxies else None
    labels = [label_task(draft, task) for task in draft.law.surrogate.tasks]
    at_target = target_remarks(draft.target, mixtures, task_weights, labels) if draft.target else ()
    return (*undecided_remarks(draft.law.surrogate, mixtures, task_weights, len(draft.law.runs), seconds), *at_target)


def solver_notes(solver: SolverRecord) -> tuple[str, ...]:
    """Say where the solver proved no optimum.

    Args:
        solver: How the solver ended.

    Returns:
        One note, or none.
    """
    if solver.status != NOT_PROVED:
        return ()
    most = "unknown" if solver.gap is None else f"at most {solver.gap:.2g} BPB"
    return (f"the weights are the best found, not proved to be the optimum; what a better mixture gains is {most}",)
