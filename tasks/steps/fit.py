"""Step `fit`: one per body of evidence. Key: the evidence rows, the law's family, how it is fitted and pooled."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from olmix_core.evidence.ledger import pinned
from olmix_core.evidence.merge import COLUMNS, merge
from olmix_core.mixes.runs import from_parquet, held_out, to_parquet
from olmix_core.mixes.tables import read_labelled
from olmix_core.report import law
from olmix_core.report.markdown import picture, table
from olmix_core.report.style import report_style
from olmix_core.serialization import OMIT_NONE, JsonRecord
from olmix_core.storage.integrity import checksum
from olmix_core.storage.layout import DIAGNOSTICS_FILE, RUNS_FILE, SURROGATE_FILE, fit_path
from olmix_core.storage.results import file_of
from olmix_core.storage.store import Store
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.cross_validation import Folds
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import cross_validate
from olmix_core.surrogate.fit import fit as fit_surrogate
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.regression.bounds import is_underdetermined
from olmix_core.surrogate.regression.prior import SwarmPrior
from olmix_core.surrogate.regression.prior_selection import swarm_diagnostics
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.trust import held_out_notes, merged_flags, run_flags
from tasks.runtime.artifacts import Artifacts, Done
from tasks.runtime.payload import DATA, EVAL, cause, result_of
from tasks.runtime.step import step

FOLDS = 5
_MAX_PANELS = 12


@dataclass(frozen=True)
class SwarmGroups(JsonRecord):
    """What is known of swarms and leaves before a law is fitted.

    Attributes:
        current: The newest swarm.
        sources: Groups of atoms of one source each.
        revised: {atom: the old atom whose content it revises}.
    """

    current: str
    sources: Sequence[Sequence[str]]
    revised: Mapping[str, str]


@dataclass(frozen=True)
class FitPayload(JsonRecord):
    """What a fitted law depends on.

    Attributes:
        evidence: Name of the set of ledger rows.
        atoms: Columns of the law: the leaves, and those that older runs were made of.
        splits: How leaves are written in atoms.
        tasks: Fingerprints of the tasks.
        family: Family of the law.
        huber_delta: BPB from which an error counts linearly.
        ridge: Penalty on the coefficients.
        pool: How swarms and atoms are related; None for one swarm of unrelated atoms.
    """

    evidence: str = field(metadata=result_of("evidence"))
    atoms: Sequence[str] = field(metadata=result_of("plan"))
    splits: Mapping[str, Mapping[str, float]] = field(metadata=cause(DATA))
    tasks: Sequence[str] = field(metadata=cause(EVAL))
    family: str
    huber_delta: float
    ridge: float | Literal["auto"]
    pool: SwarmGroups | None = field(default=None, metadata=OMIT_NONE | cause(DATA))


@dataclass(frozen=True)
class SwarmWeight(JsonRecord):
    """What a swarm counts for in a pooled law.

    Attributes:
        swarm: Key of the swarm.
        runs: Number of its runs.
        weight: What each of them counts.
        left_out_error: Error on it when it is left out of the fit; None where that is not known.
    """

    swarm: str
    runs: int
    weight: float
    left_out_error: float | None


@dataclass(frozen=True)
class FitResult(JsonRecord):
    """A fitted law.

    Attributes:
        fit: Its key.
        family: Its family.
        runs: Number of runs that it is fitted to.
        flags: {task: why its law is not to be trusted}.
        notes: What else a reader should know.
        swarms: What each swarm counts for; none unless the law is pooled.
        files: Its files in the store.
    """

    fit: str = ""
    family: str = ""
    runs: int = 0
    flags: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    swarms: Sequence[SwarmWeight] = ()
    files: dict[str, str | None] = field(default_factory=dict)


def _describe(done: Sequence[Done[FitPayload, FitResult]], artifacts: Artifacts) -> list[str]:
    [outcome] = done
    store, result = artifacts.store, outcome.result
    errors = read_labelled(file_of(store, result.files, fit_path(result.fit, DIAGNOSTICS_FILE)), "task").set_index(
        "task"
    )
    runs = from_parquet(file_of(store, result.files, fit_path(result.fit, RUNS_FILE)))
    tasks = list(errors.drop(index="objective").sort_values("spearman", na_position="first").index)
    measured, predicted = law.arrays(runs, tasks)
    panels = {"mean": (np.full(len(tasks), 1 / len(tasks)), "")}
    for t, task in enumerate(tasks[: _MAX_PANELS - 1]):
        panels[artifacts.label(task)] = (np.eye(len(tasks))[t], "")
    with report_style():
        figure = law.scatter(measured, predicted, panels)
    rows = [
        {
            "task": artifacts.label(str(task)) if task != "objective" else "mean over tasks",
            "runs": f"{row['runs']:.0f}",
            "rank correlation": f"{row['spearman']:.3f}",
            "R2": f"{row['r2']:.3f}",
            "mean error (BPB)": f"{row['mae']:.4f}",
            "inside 90 % interval": f"{row['coverage90']:.0%}",
        }
        for task, row in errors.loc[["objective", *tasks]].iterrows()
    ]
    remarks = [f"- task {artifacts.label(task)}: {reason}" for task, reason in result.flags.items()]
    remarks += [f"- {note}" for note in result.notes]
    newest = " of the newest swarm" if result.swarms else ""
    summary = f"{result.family.replace('_', ' ')}, {result.runs} runs. Errors on runs{newest} left out of the fit:"
    return [summary, "", *table(rows), "", *remarks, "", picture(figure, "Predicted against measured BPB")]


@step(
    "fit",
    5,
    title="fit a law to each task",
    after="evidence",
    payload=FitPayload,
    result=FitResult,
    artifact=_describe,
)
def fit(payload: FitPayload, store: Store) -> FitResult:
    """Fit one law per task to the evidence, and measure its error on proxies left out of the fit.

    Args:
        payload: The evidence, and how it is fitted.
        store: The store.

    Returns:
        The law.

    Raises:
        FitError: No law can be fitted.
    """
    key = fit.key(payload)
    merged = merge(pinned(store, payload.evidence, COLUMNS))
    evidence = merged.problem(payload.atoms, payload.splits, payload.tasks)
    swarms = dict(zip(merged.proxies, merged.swarms, strict=True))
    pool = payload.pool
    prior = SwarmPrior(swarms, pool.current, pool.sources, pool.revised) if pool else None
    settings = FitSettings(
        family=payload.family,
        huber_delta=payload.huber_delta,
        ridge=payload.ridge,
        prior=prior,
        guarded=is_underdetermined(*evidence.X.shape),
    )
    surrogate = fit_surrogate(evidence, settings)
    diagnostics = cross_validate(evidence, settings, folds=Folds(min(FOLDS, len(evidence.runs)), seed=0))
    if isinstance(surrogate, LawSurrogate):
        flags = merged_flags(surrogate.flags, run_flags(diagnostics, "left out of the fit"))
        surrogate = replace(surrogate, flags=flags, notes=(*surrogate.notes, *held_out_notes(diagnostics)))
    store.write_json(fit_path(key, SURROGATE_FILE), surrogate.to_json())
    diagnostics_csv = diagnostics.table().to_csv(lineterminator="\n")
    files: dict[str, str | None] = {fit_path(key, SURROGATE_FILE): None}
    for path, content in (
        (fit_path(key, DIAGNOSTICS_FILE), diagnostics_csv.encode()),
        (fit_path(key, RUNS_FILE), to_parquet(held_out(evidence, diagnostics))),
    ):
        store.write_bytes(path, content)
        files[path] = checksum(content)
    return FitResult(
        fit=key,
        family=surrogate.family,
        runs=len(evidence.runs),
        flags=dict(surrogate.flags),
        notes=list(surrogate.notes),
        swarms=_swarm_weights(surrogate, evidence, settings),
        files=files,
    )


def _swarm_weights(surrogate: Surrogate, evidence: SwarmData, settings: FitSettings) -> list[SwarmWeight]:
    law = surrogate.fitted_law
    if law is None or law.prior is None or not law.prior.others(evidence.runs):
        return []
    diagnostics = swarm_diagnostics(
        evidence, law.law.with_median_gamma, settings, law.prior, np.ones(len(evidence.runs))
    )
    return [
        SwarmWeight(row.swarm, row.runs, row.weight, None if math.isnan(row.error) else row.error)
        for row in diagnostics
    ]
