"""Swarm files of the published tool: mixtures and metrics of runs, joined by run id.

Both files have a row per run. The column `run` (or `run_id`) identifies it; `name`, `index` and unnamed columns are
left out; every other column is a domain (ratios) or a metric (metrics). Runs in one file only are counted and noted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from olmix_core.data.mmlu import GROUPS, subject_of
from olmix_core.errors import ConfigError, DataError
from olmix_core.interop.fit_config import FitConfig
from olmix_core.surrogate.data import SwarmData

ID_COLUMNS = ("run", "run_id")
LABEL_COLUMNS = (*ID_COLUMNS, "name", "index")  # neither domains nor metrics
_SUM_TOLERANCE = 0.01  # of a mixture written with few digits, as the published tool has it
_FEWEST_RUNS = 5  # a task measured in fewer cannot be cross-validated
_NAMED = 5


@dataclass(frozen=True)
class PublishedSwarm:
    """The runs of two CSV files, after joining and filtering.

    Attributes:
        evidence: The runs, sorted by run, domain and task; its leaves are columns of ratios.
        file_order: The runs in the order of ratios.csv.
        domains: All columns of ratios.csv, filtered ones included.
        incomplete: Runs that lack some task.
        notes: What was left out or changed, one line each.
    """

    evidence: SwarmData
    file_order: tuple[str, ...]
    domains: tuple[str, ...]
    incomplete: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass
class _Reader:
    """Reads the swarm of one configuration and collects remarks."""

    file: Path
    config: FitConfig
    notes: list[str] = field(default_factory=list)

    def path(self, name: str, given: str) -> Path:
        """The file `given`, relative to the working directory or else to the folder of the configuration."""
        candidates = (Path(given).expanduser(), self.file.parent / given)
        file = next((path for path in candidates if path.is_file()), None)
        if file is None:
            here = f"{Path.cwd()} or {self.file.resolve().parent}"
            raise ConfigError(str(self.file), f"swarm.{name}", f"no file {given!r}", f"a CSV file in {here}")
        return file

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
            expected = f"columns of ratios: {listed(ratios.columns)}"
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
        if not any("mmlu_stem" in column for column in metrics.columns):
            metrics = self._grouped(metrics)
        families = None if self.config.eval is None else self._families(metrics)
        names = list(metrics.columns) if families is None else [name for names in families.values() for name in names]
        dropped = set(self.config.filtering.drop_metrics)
        names = [name for name in names if name not in dropped]
        if not names:
            raise ConfigError(str(self.file), "filtering.drop_metrics", "every task", "at least one task left")
        if families is None or not self.config.regression.aggregate_task_families:
            return metrics[names]
        kept = {family: [name for name in members if name not in dropped] for family, members in families.items()}
        # The mean of a run that lacks a member would be over other tasks, so it is NaN.
        means = {
            family: metrics[members].mean(axis=1, skipna=False) for family, members in kept.items() if len(members)
        }
        return pd.DataFrame(means)

    def _grouped(self, metrics: pd.DataFrame) -> pd.DataFrame:
        """Metrics with the selected MMLU subjects averaged to groups, weighted by their numbers of questions."""
        families = None if self.config.eval is None else self.config.eval.families.values()
        selected = None if families is None else {name for names in families for name in names}
        averaged = []
        for group, subjects in GROUPS.items():
            columns = [name for name in metrics.columns if (subject_of(name) or ("", 0))[0] == group]
            chosen = [
                name
                for name in columns
                if name not in self.config.filtering.drop_metrics
                and (selected is None or name in selected or group in selected)
            ]
            if chosen:
                questions = np.array([(subject_of(name) or ("", 0))[1] for name in chosen], dtype=float)
                average = metrics[chosen].to_numpy() @ (questions / questions.sum())
                metrics = metrics.assign(**{group: average})
                averaged.append(f"{group} ({len(chosen)} of {len(subjects)} subjects)")
            metrics = metrics.drop(columns=columns)
        if averaged:
            self.notes.append(f"averaged by number of questions: {', '.join(averaged)}")
        return metrics

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
                    expected = f"a column of metrics: {listed(metrics.columns)}"
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
    ratios = _read(reader.path("ratios", config.swarm.ratios))
    metrics = _read(reader.path("metrics", config.swarm.metrics), config.filtering.drop_metrics)
    empty = ratios.isna().stack()
    if empty.any():
        run, domain = next(iter(empty.index[empty.to_numpy()]))
        raise DataError(
            f"{config.swarm.ratios}: run {run}, column {domain}: found an empty cell; expected a weight, 0 for none"
        )
    unknown = [name for name in config.filtering.drop_metrics if name not in metrics.columns]
    if unknown:
        reader.notes.append(f"filtering.drop_metrics: no column of metrics: {listed(unknown)}")
    domains, file_order = tuple(ratios.columns), list(ratios.index)
    # Sorted before anything is computed, so that sums are rounded alike for any order in the files.
    ratios, metrics = (table.sort_index().sort_index(axis=1) for table in (ratios, metrics))
    ratios, metrics = reader.joined(ratios, metrics)
    mixtures = reader.mixtures(ratios)
    everything = metrics.loc[mixtures.index]
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
        notes=tuple(reader.notes),
    )


def _read(path: Path, dropped: Sequence[str] = ()) -> pd.DataFrame:
    """One file: numbers by run id and column, NaN for an empty cell; `dropped` columns may hold anything."""
    try:
        table = pd.read_csv(path, dtype=str, encoding="utf-8-sig")
        header = list(pd.read_csv(path, dtype=str, encoding="utf-8-sig", header=None, nrows=1).iloc[0].dropna())
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise DataError(f"{path}: found no CSV table ({error}); expected a row per run") from error
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        raise DataError(f"{path}: found the column {doubled[0]!r} twice; expected each column once")
    ids = next((name for name in ID_COLUMNS if name in table.columns), None)
    if ids is None:
        raise DataError(f"{path}: found the columns {listed(table.columns)}; expected run or run_id among them")
    if table[ids].isna().any():
        raise DataError(f"{path}: found {int(table[ids].isna().sum())} rows without {ids}; expected an id in each")
    table = table.set_index(table[ids].str.strip())
    twice = table.index[table.index.duplicated()]
    if len(twice):
        raise DataError(f"{path}: column {ids}: found {twice[0]!r} twice; expected each run once")
    unnamed = [name for name in table.columns if name.startswith("Unnamed:") or not name.strip()]
    table = table.drop(columns=[name for name in table.columns if name in LABEL_COLUMNS or name in unnamed])
    if table.empty:
        raise DataError(f"{path}: found no values; expected a column per domain or metric, and a row per run")
    values = pd.DataFrame({name: pd.to_numeric(table[name], errors="coerce") for name in table.columns})
    wrong = (values.isna() & table.notna()).drop(columns=list(dropped), errors="ignore").stack()
    if wrong.any():
        run, name = next(iter(wrong.index[wrong.to_numpy()]))
        value = table[name].to_dict()[run]
        raise DataError(f"{path}: run {run}, column {name}: found {value!r}; expected a number")
    return values.astype(np.float64)


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"


def listed(names: Sequence[str] | pd.Index) -> str:
    """Join the first few names for a message.

    Args:
        names: The names.

    Returns:
        The names, and how many more there are.
    """
    more = len(names) - _NAMED
    return ", ".join(map(str, names[:_NAMED])) + (f" and {more} more" if more > 0 else "")
