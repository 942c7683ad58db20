"""A mix read back from its record: look at it, predict other mixtures, propose under other wishes, plot.

    store or folder --load-->  PublishedMix   table, record, runs, diagnostics, surrogate
                                 .predict(mixture) -> Prediction      .propose(kl=...) -> weights

Everything is in the labels of the version that was read. The law may speak of finer or older contents than the leaves
of today (see `carry`) or of columns of several leaves; `columns` translates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from olmix_core.errors import OlmixError, StoreError
from olmix_core.evidence.atoms import in_atoms
from olmix_core.mixes.history import VersionSummary, history
from olmix_core.mixes.record import FitRecord, MixRecord, parse_record, read_mix
from olmix_core.mixes.runs import FittedRun, from_parquet
from olmix_core.mixes.tables import read_labelled, read_table
from olmix_core.mixture import Array, LeafIndex
from olmix_core.storage.integrity import unseal, verify
from olmix_core.storage.layout import (
    DIAGNOSTICS_FILE,
    MIXES_FOLDER,
    RECORD_FILE,
    RUNS_FILE,
    SURROGATE_FILE,
    TABLE_FILE,
    TRADE_OFFS_FILE,
    version_folder,
)
from olmix_core.storage.store import Store
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.fit import load as load_surrogate
from olmix_core.surrogate.prediction import Prediction, PredictionContext, predict
from olmix_core.surrogate.task_weights import normalised

FILES = (RECORD_FILE, TABLE_FILE, SURROGATE_FILE, RUNS_FILE, DIAGNOSTICS_FILE)

_FAMILY_ENDS = ":_"  # where the family ends in the name of a task


@dataclass(frozen=True)
class PublishedMix:
    """A published mix, or the folder that `olmix fit` wrote.

    record: mix.json. table: mix.csv, a row per leaf, the heaviest first. surrogate: the law, its columns by label (by
    fingerprint where they are no leaf of today). columns [law columns, leaves]: leaves in the order of `table` over
    the columns of the law. runs: runs.parquet. diagnostics: diagnostics.csv by task. lineage: the versions up to this
    one, oldest first (see `lineage.history`); empty for a folder. trade_offs: trade_offs.csv, None where there is none.
    """

    record: MixRecord | FitRecord
    table: pd.DataFrame
    surrogate: Surrogate
    columns: Array
    runs: Sequence[FittedRun]
    diagnostics: pd.DataFrame
    lineage: Sequence[VersionSummary]
    trade_offs: pd.DataFrame | None

    @property
    def leaves(self) -> list[str]:
        """Labels in the order of `table`."""
        return list(self.table["domain"])

    @property
    def title(self) -> str:
        """Name and version."""
        version = self.version
        return f"{self.record.name} {version}" if version else self.record.name

    @property
    def version(self) -> str | None:
        """The version; None for a folder."""
        return self.record.version if isinstance(self.record, MixRecord) else None

    @cached_property
    def task_weights(self) -> Array:
        """[T] weights of the tasks in the objective, in the order of the surrogate; they sum to 1."""
        weights = {task.name: task.weight for task in self.record.tasks}
        return normalised([weights[task] for task in self.surrogate.tasks], self.surrogate.tasks)

    @cached_property
    def families(self) -> dict[str, list[str]]:
        """{family: its tasks}. A task's family is the one on record, or else the beginning of its name (up to : or _)
        where another task shares it, or else the task itself.
        """
        on_record = {task.name: task.family for task in self.record.tasks}
        begins = [_beginning(task) for task in self.surrogate.tasks]
        found: dict[str, list[str]] = {}
        for task, begin in zip(self.surrogate.tasks, begins, strict=True):
            family = on_record[task] or (begin if begins.count(begin) > 1 else task)
            found.setdefault(family, []).append(task)
        return dict(sorted(found.items()))

    @cached_property
    def mixtures(self) -> dict[str, Array]:
        """{natural, previous, proposed: [leaves] weights}; previous only where it had all of its weight on leaves of
        today.
        """
        found = {"natural": self.table["natural"].to_numpy(np.float64)}
        previous = self.table["previous"].fillna(0.0).to_numpy(np.float64)
        if abs(previous.sum() - 1) < 1e-6:
            found["previous"] = previous
        return {**found, "proposed": self.table["weight"].to_numpy(np.float64)}

    @property
    def epochs(self) -> Array:
        """[leaves] epochs per unit of weight, R / N; NaN where unknown."""
        target = self.record.target_tokens
        tokens = self.table["tokens"].to_numpy(np.float64)
        return np.asarray(np.divide(target or np.nan, tokens, out=np.full(len(tokens), np.nan), where=tokens > 0))

    @property
    def evidence(self) -> pd.DataFrame:
        """A row per run of the evidence: vintage, then columns (mixture, leaf), (measured, task) and (predicted, task)
        in BPB, the latter cross-validated.
        """
        parts = {
            name: pd.DataFrame([dict(getattr(run, name)) for run in self.runs]).reindex(columns=list(order))
            for name, order in (
                ("mixture", self.surrogate.leaves),
                ("measured", self.surrogate.tasks),
                ("predicted", self.surrogate.tasks),
            )
        }
        parts["mixture"] = parts["mixture"].fillna(0.0)
        table = pd.concat(parts, axis=1)
        table.index = pd.Index([run.run for run in self.runs], name="run")
        table.insert(0, ("vintage", ""), [run.vintage for run in self.runs])
        return table

    def vector(self, mixture: Mapping[str, float]) -> Array:
        """[leaves] the mixture {label: weight}, scaled to sum to 1; leaves that are not named get 0.

        Raises OlmixError where a label is unknown, a weight no number >= 0, or the sum more than 1e-3 from 1.
        """
        known = self.leaves
        for label, weight in mixture.items():
            if label not in known:
                raise OlmixError(f"mixture: found the domain {label!r}; expected one of: {', '.join(sorted(known))}")
            if not (np.isfinite(weight) and weight >= 0):
                raise OlmixError(f"mixture: {label}: found the weight {weight}; expected a number >= 0")
        weights = np.array([float(mixture.get(label, 0.0)) for label in known])
        if abs(weights.sum() - 1) > 1e-3:
            raise OlmixError(f"mixture: found weights that sum to {weights.sum():.6g}; expected 1")
        shares: Array = weights / weights.sum()
        return shares

    def predict(
        self, mixture: Mapping[str, float] | None = None, task_weights: Mapping[str, float] | None = None
    ) -> Prediction:
        """What the law says of `mixture` {label: weight} (the proposed one where it is None), with 90 % intervals.

        task_weights {task: weight} replace those of the record; tasks that are not named get 0. Raises OlmixError.
        """
        q = self.mixtures["proposed"] if mixture is None else self.vector(mixture)
        context = PredictionContext(
            leaves=self.leaves,
            columns=self.columns,
            task_weights=self.task_weights if task_weights is None else self.task_shares(task_weights),
            families=self.families,
            references={name: weights for name, weights in self.mixtures.items() if name != "proposed"},
            caps=self.table["cap"].to_numpy(np.float64),
            epochs=self.epochs,
        )
        return predict(self.surrogate, q, context)

    @property
    def can_propose(self) -> bool:
        """Whether the record says enough to propose anew.

        It does, but for what `olmix fit` made of columns of several leaves or with fixed weights.
        """
        if isinstance(self.record, MixRecord):
            return True
        single = self.columns.shape[0] == self.columns.shape[1]
        return single and not self.record.settings.filtering.fixed_weight

    def propose(
        self,
        *,
        kl: float | None = None,
        repetition: float | None = None,
        target_tokens: float | None = None,
        pessimism: float | None = None,
        task_weights: Mapping[str, float] | None = None,
        lower: Mapping[str, float] | None = None,
        upper: Mapping[str, float] | None = None,
        every_leaf: bool = False,
    ) -> dict[str, float]:
        """{label: weight} the best mixture by the same law under other wishes; what is None stays as published.

        lower, upper {label: weight}: further limits. every_leaf: give up kept and pinned ratios. Raises OlmixError.
        """
        from olmix_core.mixes.counterfactual import propose_again

        return propose_again(
            self,
            kl=kl,
            repetition=repetition,
            target_tokens=target_tokens,
            pessimism=pessimism,
            task_weights=None if task_weights is None else self.task_shares(task_weights),
            lower=lower or {},
            upper=upper or {},
            every_leaf=every_leaf,
        )

    def task_shares(self, given: Mapping[str, float]) -> Array:
        """[T] task weights {task: weight}, in the order of the surrogate and summing to 1. Raises OlmixError."""
        unknown = sorted(set(given) - set(self.surrogate.tasks))
        if unknown:
            known = ", ".join(self.surrogate.tasks)
            raise OlmixError(f"task weights: found the task {unknown[0]!r}; expected one of: {known}")
        return normalised([given.get(task, 0.0) for task in self.surrogate.tasks], self.surrogate.tasks)


def load(store: str | Store = ".olmix", name: str | None = None, version: str | None = None) -> PublishedMix:
    """The mix `name` of a store (it may be left out where there is one), by default its latest version.

    Raises StoreError.
    """
    opened = store if isinstance(store, Store) else Store(store)
    if name is None:
        names = opened.list(MIXES_FOLDER)
        if len(names) != 1:
            found = ", ".join(names) or "none"
            raise StoreError(f"{opened.url}: found the mixes: {found}; expected one, or the name of the one meant")
        name = names[0]
    record = read_mix(opened, name, version)
    return read_folder(opened, version_folder(name, record.version), history(opened, name, record.version))


def load_folder(folder: str | Path) -> PublishedMix:
    """The mix in a folder that `olmix fit` wrote. Raises StoreError."""
    return read_folder(Store(str(folder)), "", ())


def read_folder(store: Store, folder: str, lineage: Sequence[VersionSummary]) -> PublishedMix:
    """The mix whose files lie in `folder` of a store. Raises StoreError."""
    prefix = f"{folder}/" if folder else ""
    contents = {}
    for file in FILES:
        try:
            contents[file] = store.read_bytes(prefix + file)
        except FileNotFoundError as error:
            raise StoreError(
                f"{store.url}/{prefix}{file}: found no such file; expected the folder of a mix as this version writes"
                " it: run or fit it again"
            ) from error
    if store.exists(prefix + TRADE_OFFS_FILE):
        contents[TRADE_OFFS_FILE] = store.read_bytes(prefix + TRADE_OFFS_FILE)
    return read_files(contents, lineage)


def read_files(contents: Mapping[str, bytes], lineage: Sequence[VersionSummary] = ()) -> PublishedMix:
    """The mix that the files {name: content} of its folder describe. Raises DamageError."""
    record = parse_record(unseal(contents[RECORD_FILE], RECORD_FILE), RECORD_FILE)
    for name in contents.keys() - {RECORD_FILE}:
        verify(contents[name], record.files[name], name)
    law = unseal(contents[SURROGATE_FILE], SURROGATE_FILE)
    table = read_table(contents[TABLE_FILE])
    names = [domain["label"] or domain["fingerprint"] for domain in law["domains"]]
    return PublishedMix(
        record=record,
        table=table,
        surrogate=load_surrogate({**law, "domains": [{"fingerprint": name} for name in names]}),
        columns=_columns(record, list(table["domain"]), law["domains"]),
        runs=from_parquet(contents[RUNS_FILE]),
        diagnostics=read_labelled(contents[DIAGNOSTICS_FILE], "task").set_index("task"),
        lineage=lineage,
        trade_offs=read_labelled(contents[TRADE_OFFS_FILE], "parameter") if TRADE_OFFS_FILE in contents else None,
    )


def _columns(record: MixRecord | FitRecord, leaves: Sequence[str], domains: Sequence[Mapping[str, Any]]) -> Array:
    """[law columns, leaves] what each leaf is in the columns of the law."""
    rows = LeafIndex(tuple(domain["fingerprint"] or domain["label"] for domain in domains))
    if isinstance(record, FitRecord):
        parts = {leaf.label: {leaf.column: 1.0} for leaf in record.domain_set}
    else:
        parts = {leaf.label: in_atoms({leaf.fingerprint: 1.0}, record.splits) for leaf in record.domain_set}
    return rows.matrix([parts[leaf] for leaf in leaves])


def _beginning(task: str) -> str:
    ends = [task.index(end) for end in _FAMILY_ENDS if end in task]
    return task[: min(ends)] if ends else task
