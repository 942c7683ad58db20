"""Swarm files of the published tool: mixtures and metrics of runs, joined by run id.

Both files have a row per run (see `csv_table`); a column is a domain (ratios) or a metric (metrics). Runs in one file
only are counted and noted. Metrics are bits per byte or converted to them (see `metric_units`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from olmix_core.data.mmlu import GROUPS, subject_of
from olmix_core.errors import ConfigError, DataError
from olmix_core.interop.csv_table import read_table
from olmix_core.interop.fit_config import FitConfig
from olmix_core.interop.labels import did_you_mean, listed
from olmix_core.interop.metric_units import check_metrics, convert_metrics
from olmix_core.mixture import without_rounding
from olmix_core.surrogate.data import SwarmData

_SUM_TOLERANCE = 0.01  # of a mixture written with few digits, as the published tool has it
_FEWEST_RUNS = 5  # a task measured in fewer cannot be cross-validated


@dataclass(frozen=True)
class PublishedSwarm:
    """The runs of two CSV files, after joining and filtering.

    Attributes:
        evidence: The runs, sorted by run, domain and task; its leaves are columns of ratios.
        file_order: The runs in the order of ratios.csv.
        domains: All columns of ratios.csv, filtered ones included.
        incomplete: Runs that lack some task.
        scales: {task: name of its scale} of tasks that are not in BPB.
        notes: What was left out or changed, one line each.
    """

    evidence: SwarmData
    file_order: tuple[str, ...]
    domains: tuple[str, ...]
    incomplete: tuple[str, ...]
    scales: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass
class _Reader:
    """Reads the swarm of one configuration and collects remarks."""

    file: Path
    config: FitConfig
    notes: list[str] = field(default_factory=list)
    scales: dict[str, str | None] = field(default_factory=dict)

    def path(self, name: str, location: str) -> Path:
        """The file at `location`, relative to the working directory or else to the folder of the configuration."""
        candidates = (Path(location).expanduser(), self.file.parent / location)
        file = next((path for path in candidates if path.is_file()), None)
        if file is None:
            here = f"{Path.cwd()} or {self.file.resolve().parent}"
            raise ConfigError(str(self.file), f"swarm.{name}", f"no file {location!r}", f"a CSV file in {here}")
        return file

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The ratios and the metrics, as in their files."""
        first = read_table(self.path("ratios", self.config.swarm.ratios))
        second = read_table(self.path("metrics", self.config.swarm.metrics), self.config.filtering.drop_metrics)
        ratios, metrics = first.values, second.values
        self.notes += [*first.notes, *second.notes]
        empty = ratios.isna().stack()
        if empty.any():
            run, domain = next(iter(empty.index[empty.to_numpy()]))
            cell = f"run {run}, column {domain}: found an empty cell"
            raise DataError(f"{self.config.swarm.ratios}: {cell}; expected a weight, 0 for none")
        unknown = [name for name in self.config.filtering.drop_metrics if name not in metrics.columns]
        if unknown:
            hint = did_you_mean(unknown[0], metrics.columns)
            self.notes.append(f"filtering.drop_metrics: no column of metrics: {listed(unknown)}{hint}")
        return ratios, metrics

    def joined(self, ratios: pd.DataFrame, metrics: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The rows of the runs that both files have, sorted by run."""
        common = ratios.index[ratios.index.isin(metrics.index)]
        if not len(common):
            raise DataError(
                f"{self.config.swarm.ratios} and {self.config.swarm.metrics}: found no run id that both have "
                f"({listed(ratios.index)} against {listed(metrics.index)}); expected the same ids in both"
            )
        for name, table in (("ratios", ratios), ("metrics", metrics)):
            alone = table.index[~table.index.isin(common)]
            if len(alone):
                self.notes.append(f"{_runs(len(alone))} only in swarm.{name}, left out: {listed(alone)}")
        return ratios.loc[common], metrics.loc[common]

    def mixtures(self, ratios: pd.DataFrame) -> pd.DataFrame:
        """Mixtures that filtering keeps, over the domains that it keeps; rows sum to 1."""
        ratios = pd.DataFrame(without_rounding(ratios.to_numpy(np.float64)), ratios.index, ratios.columns)
        large = ratios.columns[ratios.max() > 1 + _SUM_TOLERANCE]
        if len(large):
            spread = f"{ratios[large[0]].min():.6g} to {ratios[large[0]].max():.6g}"
            raise DataError(
                f"{self.config.swarm.ratios}: found values of {spread} in column {large[0]}; expected weights of 0 to"
                f" 1: remove columns that are no domains ({listed(large)})"
            )
        sums = ratios.sum(axis=1)
        off = ratios.index[(sums - 1).abs() > _SUM_TOLERANCE]
        if len(off):
            raise DataError(
                f"{self.config.swarm.ratios}: run {off[0]}: found weights that sum to {sums[off[0]]:.6g} "
                f"({len(off)} of {_runs(len(sums))}); expected 1: is a domain missing?"
            )
        rounded = int(((sums - 1).abs() > 1e-6).sum())
        if rounded:
            self.notes.append(f"weights of {_runs(rounded)} do not sum to 1 exactly and were scaled")
        ratios = ratios.div(sums, axis=0)
        for name in ("support_domains", "keep_sources"):
            kept: list[str] = getattr(self.config.filtering, name)
            if kept:
                ratios = self._only(ratios, name, kept)
        return ratios

    def _only(self, ratios: pd.DataFrame, name: str, kept: Sequence[str]) -> pd.DataFrame:
        """The runs whose whole weight lies on `kept`; for keep_sources each of them must have some."""
        unknown = [domain for domain in kept if domain not in ratios.columns]
        if unknown:
            hint = did_you_mean(unknown[0], ratios.columns)
            expected = f"columns of ratios: {listed(ratios.columns)}{hint}"
            raise ConfigError(str(self.file), f"filtering.{name}", repr(unknown[0]), expected)
        inside = ratios[list(kept)]
        keep = np.isclose(inside.sum(axis=1), 1.0)
        if name == "keep_sources":
            keep &= (inside > 0).all(axis=1).to_numpy()
        if not keep.any():
            raise ConfigError(str(self.file), f"filtering.{name}", "no run with all of its weight there", "some")
        self.notes.append(f"filtering.{name}: {int(keep.sum())} of {_runs(len(keep))} and {len(kept)} domains kept")
        inside = inside[keep]
        return inside.div(inside.sum(axis=1), axis=0)

    def tasks(self, metrics: pd.DataFrame) -> pd.DataFrame:
        """A column per task: the selected metrics, MMLU in groups, or a column per family."""
        measured, subjects = metrics, list[str]()
        if not any("mmlu_stem" in column for column in metrics.columns):
            metrics, subjects = self._grouped(metrics)
        families = None if self.config.eval is None else self._families(metrics)
        names = list(metrics.columns) if families is None else [name for names in families.values() for name in names]
        dropped = set(self.config.filtering.drop_metrics)
        names = [name for name in names if name not in dropped]
        if not names:
            raise ConfigError(str(self.file), "filtering.drop_metrics", "every task", "at least one task left")
        used = measured[[name for name in measured.columns if name in {*names, *subjects}]]
        check_metrics(str(self.file), self.config.metrics, used)
        if families is None or not self.config.regression.aggregate_task_families:
            return metrics[names]
        kept = {family: [name for name in members if name not in dropped] for family, members in families.items()}
        # The mean of a run that lacks a member would be over other tasks, so it is NaN.
        means = {
            family: metrics[members].mean(axis=1, skipna=False) for family, members in kept.items() if len(members)
        }
        return pd.DataFrame(means)

    def _grouped(self, metrics: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
        """Metrics with selected MMLU subjects averaged to groups by their numbers of questions; the subjects."""
        families = None if self.config.eval is None else self.config.eval.families.values()
        selected = None if families is None else {name for names in families for name in names}
        averaged, used = [], []
        for group, subjects in GROUPS.items():
            columns = [name for name in metrics.columns if (subject_of(name) or ("", 0))[0] == group]
            chosen = [
                name
                for name in columns
                if name not in self.config.filtering.drop_metrics
                and (selected is None or name in selected or group in selected)
            ]
            if chosen:
                self.scales[group] = self._scale_of(group, chosen)
                questions = np.array([(subject_of(name) or ("", 0))[1] for name in chosen], dtype=float)
                average = metrics[chosen].to_numpy() @ (questions / questions.sum())
                metrics = metrics.assign(**{group: average})
                used += chosen
                averaged.append(f"{group} ({len(chosen)} of {len(subjects)} subjects)")
            metrics = metrics.drop(columns=columns)
        if averaged:
            self.notes.append(f"averaged by number of questions: {', '.join(averaged)}")
        return metrics, used

    def _scale_of(self, group: str, subjects: Sequence[str]) -> str | None:
        """The scale that all subjects of a group have; None for BPB."""
        scales = {self.scales.get(name) for name in subjects}
        if len(scales) > 1:
            expected = "the same unit for all subjects of a group"
            raise ConfigError(str(self.file), "metrics", f"several units in {group}", expected)
        return scales.pop()

    def _families(self, metrics: pd.DataFrame) -> dict[str, list[str]]:
        """The columns of each family; every name must be a column or part of a group."""
        assert self.config.eval is not None
        home: dict[str, str] = {}
        for family, names in self.config.eval.families.items():
            for name in names:
                if name in self.config.filtering.drop_metrics:
                    continue
                group = subject_of(name)
                column = group[0] if name not in metrics.columns and group is not None else name
                if column not in metrics.columns:
                    hint = did_you_mean(name, metrics.columns)
                    expected = f"a column of metrics: {listed(metrics.columns)}{hint}"
                    raise ConfigError(str(self.file), f"eval.tasks.{family}", repr(name), expected)
                if home.setdefault(column, family) != family:
                    families = f"subjects of {column} in {home[column]} and {family}"
                    raise ConfigError(str(self.file), "eval.tasks", families, "all of a group in one family")
        return {
            family: [column for column, owner in home.items() if owner == family] for family in self.config.eval.tasks
        }

    def check_counts(self, tasks: pd.DataFrame) -> None:
        """Refuse tasks that too few runs have, and note those that some runs lack."""
        for name, measured in tasks.notna().sum().items():
            if measured < _FEWEST_RUNS:
                runs = f"{_runs(measured)} with a value of {name!r}"
                expected = f"at least {_FEWEST_RUNS}; or name it under filtering.drop_metrics"
                raise ConfigError(str(self.file), "swarm.metrics", runs, expected)
            if measured < len(tasks):
                self.notes.append(f"task {name}: measured in {measured} of {_runs(len(tasks))}")


def read_swarm(file: Path, config: FitConfig, *, complete_only: bool) -> PublishedSwarm:
    """Read, join and filter the swarm of a configuration.

    Args:
        file: The fit configuration, for messages and relative paths.
        config: Its content.
        complete_only: Leave out runs that lack any metric, as the published tool does.

    Returns:
        The runs.

    Raises:
        ConfigError: If the configuration does not fit the files.
        DataError: If a file is invalid.
        FitError: If the values cannot be fitted.
    """
    reader = _Reader(file, config)
    ratios, metrics = reader.tables()
    domains, file_order = tuple(ratios.columns), list(ratios.index)
    # Sorted before anything is computed, so that sums are rounded alike for any order in the files.
    ratios, metrics = (table.sort_index().sort_index(axis=1) for table in (ratios, metrics))
    ratios, metrics = reader.joined(ratios, metrics)
    mixtures = reader.mixtures(ratios)
    everything, converted = convert_metrics(str(file), config.metrics, metrics.loc[mixtures.index])
    reader.notes += converted
    reader.scales |= {name: metric.scale for name, metric in config.metrics.items()}
    if complete_only and everything.isna().any(axis=None):
        gaps = everything.isna().any(axis=1)
        reader.notes.append(f"{_runs(int(gaps.sum()))} lack some metric and were left out")
        everything = everything[~gaps]
    tasks = reader.tasks(everything)
    tasks = tasks[tasks.notna().any(axis=1)]
    if len(tasks) < len(everything):
        reader.notes.append(f"{_runs(len(everything) - len(tasks))} without any task, left out")
    mixtures = mixtures.loc[tasks.index]
    reader.check_counts(tasks)
    leaves, names = sorted(mixtures.columns), sorted(tasks.columns)
    return PublishedSwarm(
        evidence=SwarmData(
            X=mixtures[leaves].to_numpy(dtype=np.float64),
            Y=tasks[names].to_numpy(dtype=np.float64),
            runs=tuple(tasks.index),
            leaves=tuple(leaves),
            tasks=tuple(names),
        ),
        file_order=tuple(run for run in file_order if run in tasks.index),
        domains=domains,
        incomplete=tuple(tasks.index[tasks.isna().any(axis=1)]),
        scales={name: scale for name in names if (scale := reader.scales.get(name)) is not None},
        notes=tuple(reader.notes),
    )


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"
