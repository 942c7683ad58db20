"""Import swarms that were run elsewhere as rows of evidence.

A swarm is two CSV files of the published tool, read as `olmix fit` reads them (see `swarm_csv`), and a map that
describes their columns (see `import_map`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from olmix_core.data.mmlu import subject_of
from olmix_core.errors import ConfigError, FitError
from olmix_core.evidence.rows import EvidenceRow, recipe_key
from olmix_core.identity import digest
from olmix_core.interop.csv_table import read_columns
from olmix_core.interop.fit_config import FitConfig
from olmix_core.interop.import_fingerprints import content_fingerprints, task_fingerprints, tokenizer_fingerprint
from olmix_core.interop.import_map import DECLARED, DomainEntry, Entry, ImportMap, TaskEntry, entries, load_map
from olmix_core.interop.labels import did_you_mean, listed, look_alikes
from olmix_core.interop.metric_units import DROP
from olmix_core.interop.swarm_csv import PublishedSwarm, read_swarm
from olmix_core.mixture import Array
from olmix_core.serialization import JsonObject
from olmix_core.surrogate.data import SwarmData


@dataclass(frozen=True)
class Imported:
    """An imported swarm.

    Attributes:
        name: Name of the swarm.
        rows: A row per run.
        domains: Number of domains.
        tasks: Number of tasks.
        declared: Number of domains and tasks that are known by their label only.
        notes: Remarks, one line each.
    """

    name: str
    rows: tuple[EvidenceRow, ...]
    domains: int
    tasks: int
    declared: int
    notes: tuple[str, ...]


def import_swarm(ratios: Path, metrics: Path, file: Path) -> Imported:
    """Read a swarm; nothing is written.

    Args:
        ratios: CSV file of mixtures.
        metrics: CSV file of metrics.
        file: The map.

    Returns:
        The swarm.

    Raises:
        ConfigError: If the map cannot be read or does not fit the files.
        DataError: If a file is invalid.
    """
    import_map = load_map(file)
    swarm = _read(ratios, metrics, file, import_map)
    evidence = swarm.evidence
    domains = entries(import_map.domains, evidence.leaves, DomainEntry)
    tasks = entries(import_map.tasks, evidence.tasks, TaskEntry)
    _check(file, "domains", domains, evidence.leaves)
    unknown = [name for name in tasks if name not in evidence.tasks]
    if unknown:
        expected = f"a column of {metrics.name}, or a group of MMLU: {listed(evidence.tasks)}"
        expected += did_you_mean(unknown[0], evidence.tasks)
        raise ConfigError(str(file), f"tasks.{unknown[0]}", "no such task", expected)
    leaf_fingerprints = content_fingerprints(file, domains)
    mixtures = _over_leaves(file, domains, list(leaf_fingerprints), evidence)
    described = _Described(
        import_map,
        leaf_fingerprints,
        task_fingerprints(file, tasks, swarm.scales),
        tokenizer_fingerprint(file, import_map.tokenizer),
    )
    rows = tuple(described.row(ratios.name, evidence, k, mixtures[k]) for k in range(len(evidence.runs)))
    return Imported(
        name=import_map.name,
        rows=rows,
        domains=len(leaf_fingerprints),
        tasks=len(evidence.tasks),
        declared=sum(entry.declared for entry in (*domains.values(), *tasks.values())),
        notes=swarm.notes,
    )


def similar_labels(swarm: Imported, recorded: Mapping[str, str]) -> list[str]:
    """Find labels of a swarm that differ from others on record by white space or case only.

    Args:
        swarm: The swarm.
        recorded: {fingerprint: label} of the leaves and tasks on record.

    Returns:
        A remark per pair of different things.
    """
    labels = {fingerprint: label for row in swarm.rows for fingerprint, label in row.labels.items()}
    others = {label for fingerprint, label in recorded.items() if fingerprint not in labels}
    return [
        f"{label!r} is not {other!r}, which is on record: they differ by white space or case only"
        for label, other in look_alikes(labels.values(), others)
    ]


@dataclass(frozen=True)
class _Described:
    """A map with the fingerprints of leaves (in the order of mixtures), tasks and the tokenizer."""

    import_map: ImportMap
    leaves: Mapping[str, str]
    tasks: Mapping[str, str]
    tokenizer: str

    def row(self, source: str, evidence: SwarmData, k: int, weights: Array) -> EvidenceRow:
        """The row of run `k`, whose mixture is `weights` [leaves]."""
        mixture = {
            fingerprint: float(weight)
            for fingerprint, weight in zip(self.leaves.values(), weights, strict=True)
            if weight > 0
        }
        bpb = {
            self.tasks[name]: float(value)
            for name, value in zip(evidence.tasks, evidence.Y[k], strict=True)
            if not np.isnan(value)
        }
        recipe, proxy = _recipe(self.import_map), self.import_map.recipe.proxy
        identity = {
            "imported": evidence.runs[k],
            "mixture": mixture,
            "recipe": recipe_key(recipe),
            "tokenizer": self.tokenizer,
        }
        labels = {self.leaves[name]: name for name in self.leaves} | {self.tasks[name]: name for name in evidence.tasks}
        return EvidenceRow(
            proxy=digest(identity),
            mixture=mixture,
            bpb=bpb,
            recipe=recipe,
            tokenizer=self.tokenizer,
            swarm=self.import_map.name,
            source=source,
            imported=True,
            seed=None if proxy is None else proxy.seed,
            tokens=None if proxy is None else proxy.tokens,
            labels={name: labels[name] for name in (*mixture, *bpb)},
        )


def _read(ratios: Path, metrics: Path, file: Path, import_map: ImportMap) -> PublishedSwarm:
    """The two files, without metrics that the map does not name."""
    drop = [] if import_map.tasks is None else _unnamed(metrics, set(import_map.tasks))
    config = FitConfig.model_validate(
        {
            "swarm": {"ratios": str(ratios.resolve()), "metrics": str(metrics.resolve())},
            "priors": {"relative_sizes": {"any": 1}},
            "filtering": {"drop_metrics": drop},
        }
    ).model_copy(update={"metrics": import_map.metrics})
    try:
        swarm = read_swarm(file, config, complete_only=False)
    except FitError as error:
        raise ConfigError(str(file), "(files)", str(error), "mixtures, and BPB above 0") from error
    except ConfigError as error:
        # The message is about a configuration of `olmix fit`; here it must be about the map.
        expected = error.expected.replace("; or name it under filtering.drop_metrics", "; or leave it out of tasks")
        expected = expected.replace(f"({DROP})", "(name under tasks only the columns that are meant)")
        field = {"swarm.metrics": "tasks", "filtering.drop_metrics": "tasks"}.get(error.field, error.field)
        raise ConfigError(str(file), field, error.found, expected) from error
    if not drop:
        return swarm
    note = f"columns of {metrics.name} that the map does not name: {listed(drop)}"
    return replace(swarm, notes=(note, *swarm.notes))


def _unnamed(metrics: Path, named: set[str]) -> list[str]:
    """The metrics that the map names neither themselves nor by their MMLU group."""
    try:
        metric = read_columns(metrics)
    except (OSError, ValueError):
        return []  # reported when the file is read
    return [name for name in metric if name not in named and (subject_of(name) or ("", 0))[0] not in named]


def _check(file: Path, section: str, entries: Mapping[str, Entry], columns: tuple[str, ...]) -> None:
    """Raise ConfigError where a column has no entry."""
    missing = [column for column in columns if column not in entries]
    if missing:
        expected = f"an entry for every column, or the word declared{did_you_mean(missing[0], entries)}"
        raise ConfigError(str(file), section, f"nothing for {listed(missing)}", expected)


def _over_leaves(file: Path, domains: Mapping[str, DomainEntry], leaves: Sequence[str], evidence: SwarmData) -> Array:
    """Mixtures [K, leaves] of the runs over the leaves that columns stand for."""
    index_of = {name: j for j, name in enumerate(leaves)}
    shares = np.zeros((len(evidence.leaves), len(leaves)))
    for k, column in enumerate(evidence.leaves):
        mixture = domains[column].mixture
        inner = {column: 1.0} if mixture is None else mixture
        total = sum(inner.values())
        unknown = [name for name in inner if name not in index_of]
        if unknown or not total > 0:
            problem = f"{unknown[0]!r}, which is no content" if unknown else "no share above 0"
            raise ConfigError(
                str(file), f"domains.{column}.mixture", problem, "shares of other entries that are content themselves"
            )
        for name, share in inner.items():
            shares[k, index_of[name]] += share / total
    return np.asarray(evidence.X @ shares)


def _recipe(import_map: ImportMap) -> JsonObject:
    """The recipe as in rows of proxies trained here, or as declared."""
    if import_map.recipe.proxy is not None:
        return import_map.recipe.proxy.identity()
    scale = {"parameters": import_map.recipe.parameters, "tokens": import_map.recipe.tokens}
    return {DECLARED: import_map.recipe.declared, **{name: value for name, value in scale.items() if value is not None}}
