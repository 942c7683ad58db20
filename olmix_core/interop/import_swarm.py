"""Swarms that were run elsewhere, as rows of evidence: two CSV files of the published tool, and a map that says what
their columns are (see `import_map`). The files are read as `olmix fit` reads them (see `published.swarm`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from olmix_core.data.mmlu import subject_of
from olmix_core.errors import ConfigError, FitError
from olmix_core.evidence.rows import EvidenceRow, recipe_key
from olmix_core.identity import digest
from olmix_core.interop import import_map
from olmix_core.interop.fit_config import FitConfig
from olmix_core.interop.import_map import DECLARED, Content, ImportMap, load_map
from olmix_core.interop.swarm_csv import LABEL_COLUMNS, PublishedSwarm, listed, read_swarm


@dataclass(frozen=True)
class Imported:
    """What two files hold. domains, tasks: number of them; declared: how many of both are known by a label only."""

    name: str
    rows: tuple[EvidenceRow, ...]
    domains: int
    tasks: int
    declared: int
    notes: tuple[str, ...]


def import_swarm(ratios: Path, metrics: Path, file: Path) -> Imported:
    """Read a swarm with the map in `file`; nothing is written.

    Raises:
        ConfigError: the map cannot be read or does not fit the files.
        DataError: a file is not what it should be.
    """
    given = load_map(file)
    swarm = _read(ratios, metrics, file, given)
    evidence = swarm.evidence
    domains = import_map.entries(given.domains, list(evidence.leaves))
    tasks = import_map.entries(given.tasks, list(evidence.tasks))
    _check(file, "domains", domains, evidence.leaves)
    unknown = [name for name in tasks if name not in evidence.tasks]
    if unknown:
        expected = f"a column of {metrics.name}, or a group of MMLU: {listed(evidence.tasks)}"
        raise ConfigError(str(file), f"tasks.{unknown[0]}", "no such task", expected)
    fingerprints = import_map.contents(file, {name: domains[name] for name in domains})
    leaves, expansion = _expansion(file, domains, fingerprints, evidence.leaves)
    of_tasks = import_map.tasks(file, tasks)
    tokenizer = import_map.tokenizer(file, given.tokenizer)
    recipe, proxy = _recipe(given), given.recipe.proxy
    mixtures = evidence.X @ expansion
    labels = {fingerprints[name]: name for name in leaves} | {of_tasks[name]: name for name in evidence.tasks}
    rows = []
    for k, run in enumerate(evidence.runs):
        mixture = {
            fingerprints[name]: float(weight) for name, weight in zip(leaves, mixtures[k], strict=True) if weight > 0
        }
        bpb = {
            of_tasks[name]: float(value)
            for name, value in zip(evidence.tasks, evidence.Y[k], strict=True)
            if not np.isnan(value)
        }
        said = {"imported": run, "mixture": mixture, "recipe": recipe_key(recipe), "tokenizer": tokenizer}
        rows.append(
            EvidenceRow(
                proxy=digest(said),
                mixture=mixture,
                bpb=bpb,
                recipe=recipe,
                tokenizer=tokenizer,
                swarm=given.name,
                source=ratios.name,
                imported=True,
                seed=None if proxy is None else proxy.seed,
                tokens=None if proxy is None else proxy.tokens,
                labels={name: labels[name] for name in (*mixture, *bpb)},
            )
        )
    return Imported(
        name=given.name,
        rows=tuple(rows),
        domains=len(leaves),
        tasks=len(evidence.tasks),
        declared=sum(entry == DECLARED for entry in (*domains.values(), *tasks.values())),
        notes=swarm.notes,
    )


def _read(ratios: Path, metrics: Path, file: Path, given: ImportMap) -> PublishedSwarm:
    """The two files, but for metrics that the map does not name."""
    drop = [] if isinstance(given.tasks, str) else _unnamed(metrics, set(given.tasks))
    config = FitConfig.model_validate(
        {
            "swarm": {"ratios": str(ratios.resolve()), "metrics": str(metrics.resolve())},
            "priors": {"relative_sizes": {"any": 1}},
            "filtering": {"drop_metrics": drop},
        }
    )
    try:
        swarm = read_swarm(file, config, complete_only=False)
    except FitError as error:
        raise ConfigError(str(file), "(files)", str(error), "mixtures, and BPB above 0") from error
    except ConfigError as error:
        # Said of a configuration for `olmix fit`; here the map stands in its place.
        expected = error.expected.replace("; or name it under filtering.drop_metrics", "; or leave it out of tasks")
        field = {"swarm.metrics": "tasks", "filtering.drop_metrics": "tasks"}.get(error.field, error.field)
        raise ConfigError(str(file), field, error.found, expected) from error
    if not drop:
        return swarm
    return PublishedSwarm(
        swarm.evidence,
        swarm.file_order,
        swarm.domains,
        swarm.incomplete,
        (f"columns of {metrics.name} that the map does not name: {listed(drop)}", *swarm.notes),
    )


def _unnamed(metrics: Path, named: set[str]) -> list[str]:
    """The metrics that the map names neither themselves nor by their MMLU group."""
    try:
        columns = list(pd.read_csv(metrics, nrows=0, encoding="utf-8-sig").columns)
    except (OSError, ValueError):
        return []  # said by who reads the file
    metric = [name for name in columns if name not in LABEL_COLUMNS and not name.startswith("Unnamed:")]
    return [name for name in metric if name not in named and (subject_of(name) or ("", 0))[0] not in named]


def _check(file: Path, section: str, entries: dict[str, Any], columns: tuple[str, ...]) -> None:
    missing = [column for column in columns if column not in entries]
    if missing:
        raise ConfigError(
            str(file), section, f"nothing for {listed(missing)}", "an entry for every column, or the word declared"
        )


def _expansion(
    file: Path, domains: dict[str, str | Content], fingerprints: dict[str, str], columns: tuple[str, ...]
) -> tuple[list[str], np.ndarray]:
    """The leaves that columns stand for, and [columns, leaves] their shares of them."""
    leaves = list(fingerprints)
    place = {name: j for j, name in enumerate(leaves)}
    matrix = np.zeros((len(columns), len(leaves)))
    for k, column in enumerate(columns):
        entry = domains[column]
        inner = entry.mixture if isinstance(entry, Content) and entry.mixture is not None else {column: 1.0}
        total = sum(inner.values())
        unknown = [name for name in inner if name not in place]
        if unknown or not total > 0:
            found = f"{unknown[0]!r}, which is no content" if unknown else "no share above 0"
            raise ConfigError(
                str(file), f"domains.{column}.mixture", found, "shares of other entries that are content themselves"
            )
        for name, share in inner.items():
            matrix[k, place[name]] += share / total
    return leaves, matrix


def _recipe(given: ImportMap) -> dict[str, Any]:
    """The recipe as rows of proxies trained here have it, or what is declared of it."""
    if given.recipe.proxy is not None:
        return given.recipe.proxy.identity()
    return {DECLARED: given.recipe.declared}
