"""A published mix read back: look at it, predict other mixtures, propose under other terms.

    store or folder --load-->  PublishedMix   table, record, runs, diagnostics, surrogate
                                 .predict(mixture) -> Prediction      .propose(kl=...) -> weights

Everything is in the labels of the version that was read. The columns of the law may be finer or older contents than the
leaves of today (see `olmix_core.evidence.atoms`), or columns of several leaves; `columns` translates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Unpack

import numpy as np
import pandas as pd

from olmix_core.errors import OlmixError
from olmix_core.mixes.changed_request import (
    ProposalChanges,
    PublishedTerms,
    changed_bounds,
    changed_caps,
    check_changes,
)
from olmix_core.mixes.history import VersionSummary
from olmix_core.mixes.record import FitRecord, MixRecord
from olmix_core.mixes.runs import FittedRun
from olmix_core.mixture import Array, LeafIndex, without_rounding
from olmix_core.proposal.leaf_proposal import propose_for_leaves
from olmix_core.proposal.request import ProposalRequest
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.prediction import Prediction, PredictionContext, predict
from olmix_core.surrogate.scaling.target_surrogate import TargetSurrogate
from olmix_core.surrogate.task_weights import normalised

_FAMILY_ENDS = ":_"  # where the family ends in the name of a task


@dataclass(frozen=True)
class PublishedMix:
    """A published mix, or the folder that `olmix fit` wrote, over m leaves and T tasks.

    Attributes:
        record: mix.json.
        table: mix.csv, a row per leaf, the heaviest first.
        surrogate: The law. Its columns are named by label, or by fingerprint where they are no leaf of today.
        target: That law at the size of the target run; None if none was stated.
        columns: [law columns, m] the leaves, in the order of `table`, over the columns of the law.
        runs: Runs.parquet.
        diagnostics: Diagnostics.csv by task.
        lineage: The versions up to this one, oldest first; empty for a folder.
        trade_offs: Trade_offs.csv; None where there is none.
    """

    record: MixRecord | FitRecord
    table: pd.DataFrame
    surrogate: Surrogate
    target: TargetSurrogate | None
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
        """{family: its tasks}.

        A task's family is the one on record, or else the beginning of its name (up to : or _) where another task
        shares it, or else the task itself.
        """
        on_record = {task.name: task.family for task in self.record.tasks}
        prefixes = [_prefix(task) for task in self.surrogate.tasks]
        families: dict[str, list[str]] = {}
        for task, prefix in zip(self.surrogate.tasks, prefixes, strict=True):
            family = on_record[task] or (prefix if prefixes.count(prefix) > 1 else task)
            families.setdefault(family, []).append(task)
        return dict(sorted(families.items()))

    @cached_property
    def mixtures(self) -> dict[str, Array]:
        """{natural, previous, proposed: [m] weights}; previous only where it had all its weight on leaves of today."""
        mixtures = {"natural": self.table["natural"].to_numpy(np.float64)}
        previous = self.table["previous"].fillna(0.0).to_numpy(np.float64)
        if abs(previous.sum() - 1) < 1e-6:
            mixtures["previous"] = previous
        return {**mixtures, "proposed": self.table["weight"].to_numpy(np.float64)}

    @property
    def epochs(self) -> Array:
        """[m] epochs per unit of weight, R / N; NaN where unknown."""
        target = self.record.target_tokens
        tokens = self.table["tokens"].to_numpy(np.float64)
        return np.asarray(np.divide(target or np.nan, tokens, out=np.full(len(tokens), np.nan), where=tokens > 0))

    @property
    def evidence(self) -> pd.DataFrame:
        """A row per run that the law was fitted to.

        Columns: vintage, then (mixture, leaf), (measured, task) and (predicted, task) in BPB, the latter
        cross-validated, and NaN for the runs of earlier swarms.
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
        """Arrange a mixture by leaf.

        Args:
            mixture: {label: weight}; leaves that are not named get 0. The sum may be 1e-3 from 1.

        Returns:
            [m] weights in the order of `table`, scaled to sum to 1.

        Raises:
            OlmixError: A label is unknown, a weight is no number >= 0, or the sum is further from 1.
        """
        leaves = self.leaves
        for label, weight in mixture.items():
            if label not in leaves:
                raise OlmixError(f"mixture: found the domain {label!r}; expected one of: {', '.join(sorted(leaves))}")
            if not (np.isfinite(weight) and without_rounding(np.array(weight)) >= 0):
                raise OlmixError(f"mixture: {label}: found the weight {weight}; expected a number >= 0")
        weights = without_rounding(np.array([float(mixture.get(label, 0.0)) for label in leaves]))
        if abs(weights.sum() - 1) > 1e-3:
            raise OlmixError(f"mixture: found weights that sum to {weights.sum():.6g}; expected 1")
        shares: Array = weights / weights.sum()
        return shares

    def predict(
        self,
        mixture: Mapping[str, float] | None = None,
        task_weights: Mapping[str, float] | None = None,
        *,
        at_target: bool = False,
    ) -> Prediction:
        """Predict a mixture by the law, with 90 % intervals.

        Args:
            mixture: {label: weight}; None for the proposed mixture.
            task_weights: {task: weight} in place of those on record; tasks that are not named get 0.
            at_target: Whether to predict at the size of the target run, rather than at that of the proxies.

        Returns:
            BPB of the objective, of every family and task, gains, and broken caps.

        Raises:
            OlmixError: A name is unknown, the weights are no mixture, or the mix has no target.
        """
        if at_target and self.target is None:
            raise OlmixError("predict: found a mix without a target; expected one that has proposal.target")
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
        return predict(self.target if at_target and self.target else self.surrogate, q, context)

    @property
    def can_propose(self) -> bool:
        """Whether `propose` can be used: not for a fit of columns of several leaves or with fixed weights."""
        if isinstance(self.record, MixRecord):
            return True
        single = self.columns.shape[0] == self.columns.shape[1]
        return single and not self.record.settings.filtering.fixed_weight

    def propose(self, **changes: Unpack[ProposalChanges]) -> dict[str, float]:
        """Propose by the same law, at the target where there is one, under other terms.

        Terms that are not given stay as published.

        Args:
            **changes: Any of `kl`, `repetition`, `target_tokens`, `pessimism`, `task_weights`, `lower`, `upper` and
                `every_leaf`, see `ProposalChanges`.

        Returns:
            {label: weight}.

        Raises:
            OlmixError: A name is unknown, the terms contradict each other, or the record is of a fit of virtual
                domains or fixed weights.
        """
        check_changes(changes, self.leaves)
        proposal = propose_for_leaves(self.target or self.surrogate, self._request(changes))
        weights = proposal.leaves.mapping(proposal.weights)
        return {leaf: weights[leaf] for leaf in self.leaves}

    def _request(self, changes: ProposalChanges) -> ProposalRequest:
        """The request that was answered, with changes; leaves are labels."""
        if not self.can_propose:
            raise OlmixError("propose: found a fit of virtual domains or fixed weights; expected one without")
        record, terms = self.record, PublishedTerms.of(self.record)
        kl, pessimism, weights = changes.get("kl"), changes.get("pessimism"), changes.get("task_weights")
        shares = self.task_weights if weights is None else self.task_shares(weights)
        columns: Sequence[dict[str, float]] = [{leaf: 1.0} for leaf in self.leaves]
        if isinstance(record, MixRecord) and not changes.get("every_leaf"):
            columns = record.plan.columns
        index = LeafIndex(tuple(self.leaves))
        tokens = self.table["tokens"].fillna(0).astype(int)
        return ProposalRequest(
            columns=columns,
            splits=self._splits(),
            natural=index.mapping(self.mixtures["natural"]),
            tokens=dict(zip(self.leaves, tokens.tolist(), strict=True)),
            target_tokens=changes.get("target_tokens") or record.target_tokens,
            repetition=changes.get("repetition") or terms.repetition,
            kl=terms.kl if kl is None else kl,
            task_weights=dict(zip(self.surrogate.tasks, shares.tolist(), strict=True)),
            bounds=changed_bounds(record, changes),
            reference=record.request.reference if isinstance(record, MixRecord) else None,
            pessimism=terms.pessimism if pessimism is None else pessimism,
            leaf_caps=index.mapping(changed_caps(record, self.table, changes)),
        )

    def _splits(self) -> dict[str, dict[str, float]]:
        """{leaf: {column of the law: share}} of leaves that are no column of the law under their own label."""
        columns = LeafIndex(self.surrogate.leaves)
        parts = {leaf: columns.mixture(self.columns[:, j]) for j, leaf in enumerate(self.leaves)}
        return {leaf: shares for leaf, shares in parts.items() if shares != {leaf: 1.0}}

    def task_shares(self, weights: Mapping[str, float]) -> Array:
        """Arrange task weights.

        Args:
            weights: {task: weight}; tasks that are not named get 0.

        Returns:
            [T] in the order of the surrogate, summing to 1.

        Raises:
            OlmixError: A task is unknown, or all weights are 0.
        """
        unknown = sorted(set(weights) - set(self.surrogate.tasks))
        if unknown:
            tasks = ", ".join(self.surrogate.tasks)
            raise OlmixError(f"task weights: found the task {unknown[0]!r}; expected one of: {tasks}")
        return normalised([weights.get(task, 0.0) for task in self.surrogate.tasks], self.surrogate.tasks)


def _prefix(task: str) -> str:
    ends = [task.index(end) for end in _FAMILY_ENDS if end in task]
    return task[: min(ends)] if ends else task
