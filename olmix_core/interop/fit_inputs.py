"""Inputs of a fit of published files: the configuration, its swarm and domains, and the settings that follow.

`read_inputs` reads and validates everything that the configuration names. The fit itself is in `fit`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from olmix_core.errors import ConfigError
from olmix_core.interop.fit_config import FitConfig, load_fit_config
from olmix_core.interop.fit_domains import Domains, find_domains
from olmix_core.interop.labels import did_you_mean
from olmix_core.interop.swarm_csv import PublishedSwarm, read_swarm
from olmix_core.mixture import Array
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.regression.laws import LOG_LINEAR

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class FitInputs:
    """Validated inputs of a fit.

    Attributes:
        file: The fit configuration.
        config: Its content.
        swarm: The runs that the configuration names.
        domains: Columns [d] of ratios, with their natural shares and caps.
        task_weights: Weight [T] of each task in the objective, not normalised.
        training: Runs that are fitted.
        held_out: Runs that `n_test` or `train_split` keeps out of the fit; None without such runs.
        published_behaviour: Whether the published tool is followed where the default differs.
    """

    file: Path
    config: FitConfig
    swarm: PublishedSwarm
    domains: Domains
    task_weights: Array
    training: SwarmData
    held_out: SwarmData | None
    published_behaviour: bool

    @property
    def ridge(self) -> float | Literal["auto"]:
        """Ridge penalty of the fit. The published tool does not regularise."""
        unregularised = self.published_behaviour and self.config.regression.type == LOG_LINEAR
        return 0.0 if unregularised else "auto"

    @property
    def kl(self) -> float:
        """Weight of the KL term when the objective is a weighted mean over tasks.

        The published tool adds weighted tasks up without dividing by the sum of the weights.
        """
        scaled = self.published_behaviour and bool(self.config.filtering.obj_weights)
        return float(self.config.kl / self.task_weights.sum()) if scaled else self.config.kl

    @property
    def expansion(self) -> Array:
        """Columns [d, e] of the proposal; each contains the fixed weights."""
        return _expansion(self.file, self.config, self.training.leaves)

    def notes(self) -> list[str]:
        """Remarks on the configuration, the swarm and the domains.

        Returns:
            One line per remark.
        """
        return [*self.config.remarks(), *self.swarm.notes, *self.domains.notes]

    def differences(self) -> list[str]:
        """Describe where the result differs from that of the published tool.

        Returns:
            One line per difference.
        """
        lines = []
        if self.config.regression.n_test:
            lines.append("a mixture is proposed although runs are held out (published: none)")
        if len(self.training.runs) < len(self.training.leaves):
            lines.append("fewer runs than domains are fitted, with a remark (published: an error)")
        if self.published_behaviour:
            return lines
        if self.config.regression.type == LOG_LINEAR:
            lines.append("each task's regularisation is chosen by leave-one-out error (published: none)")
        virtual = ", ".join(column.name for column in self.domains.columns if len(column.leaves) > 1)
        if virtual:
            lines.append(
                f"KL term and caps are on the leaves inside {virtual} (published: on the column, its tokens summed)"
            )
        incomplete = len(self.swarm.incomplete)
        if incomplete:
            lines.append(f"{incomplete} runs that lack some task are used for the others (published: left out)")
        if self.held_out is not None:
            lines.append("runs are held out by a shuffle of sorted run ids (published: of the rows of the file)")
        total = self.task_weights.sum()
        if self.config.filtering.obj_weights and not math.isclose(total, 1.0, rel_tol=1e-6):
            lines.append(f"task weights are scaled to sum to 1 (published: they sum to {total:g}, the KL term to 1)")
        return lines


def read_inputs(file: Path, *, published_behaviour: bool) -> FitInputs:
    """Read a fit configuration of the published tool and the files that it names.

    Args:
        file: The fit configuration.
        published_behaviour: Follow the published tool where the default differs.

    Returns:
        The validated inputs.

    Raises:
        ConfigError: If the configuration cannot be read or does not fit the swarm files.
        DataError: If a swarm file cannot be read.
        FitError: If the values of the swarm cannot be fitted.
    """
    config = load_fit_config(file)
    swarm = read_swarm(file, config, complete_only=published_behaviour)
    domains = find_domains(file, config, swarm.evidence.leaves, swarm.domains, on_columns=published_behaviour)
    weights = _task_weights(file, config, swarm.evidence.tasks)
    training, held_out = _split(file, config, swarm.evidence.runs, swarm.file_order if published_behaviour else None)
    return FitInputs(
        file=file,
        config=config,
        swarm=swarm,
        domains=domains,
        task_weights=weights,
        training=swarm.evidence.rows(training),
        held_out=swarm.evidence.rows(held_out) if len(held_out) else None,
        published_behaviour=published_behaviour,
    )


def _task_weights(file: Path, config: FitConfig, tasks: tuple[str, ...]) -> Array:
    """Weight [T] of each task: 1 unless obj_weights has another."""
    listed_weights = config.filtering.obj_weights
    unknown = sorted(set(listed_weights) - set(tasks) - set(config.filtering.drop_metrics))
    if unknown:
        kind = "families" if config.regression.aggregate_task_families else "tasks"
        expected = f"one of the {kind} {', '.join(tasks)}{did_you_mean(unknown[0], tasks)}"
        raise ConfigError(str(file), f"filtering.obj_weights.{unknown[0]}", repr(unknown[0]), expected)
    weights = np.array([listed_weights.get(task, 1.0) for task in tasks])
    if not weights.any():
        raise ConfigError(str(file), "filtering.obj_weights", "0 for every task", "a weight > 0")
    return weights


def _split(file: Path, config: FitConfig, runs: Sequence[str], file_order: Sequence[str] | None) -> tuple[Rows, Rows]:
    """Rows of the evidence to fit, and rows held out.

    A seeded shuffle; its first n_test runs are held out, and train_split takes its share or number from the rest.
    The sorted `runs` are shuffled, so that the order of the files changes nothing; `file_order` is shuffled instead
    where it is given, as the published tool shuffles the rows of its file.
    """
    regression = config.regression
    order = runs if file_order is None else file_order
    random = np.random.RandomState(regression.seed)  # the generator that the published tool shuffles with
    shuffled = random.permutation(len(order))
    row_of = {run: row for row, run in enumerate(runs)}
    rows = np.array([row_of[order[k]] for k in shuffled], dtype=np.intp)
    rest = len(rows) - regression.n_test
    share = regression.train_split
    count = rest if share == 1 else int(share) if share > 1 else int(share * rest)
    if not 0 < count <= rest:
        runs_needed = f"{count} runs to fit to and {regression.n_test} to hold out"
        raise ConfigError(str(file), "regression.train_split", runs_needed, f"at most the {len(rows)} runs there are")
    # Sorted again: the fit does not depend on the order, and its files are easier to read.
    training = np.sort(rows[regression.n_test : regression.n_test + count])
    return training, np.setdiff1d(rows, training)


def _expansion(file: Path, config: FitConfig, columns: tuple[str, ...]) -> Array:
    """Columns [d, e] of the proposal: the fixed weights plus the rest of the weight on one free column each."""
    fixed = config.filtering.fixed_weight
    unknown = [name for name in fixed if name not in columns]
    if unknown:
        expected = f"a column of ratios: {', '.join(columns)}{did_you_mean(unknown[0], columns)}"
        raise ConfigError(str(file), "filtering.fixed_weight", repr(unknown[0]), expected)
    total = sum(fixed.values())
    free = [j for j, name in enumerate(columns) if name not in fixed]
    if total > 1 or not free:
        raise ConfigError(str(file), "filtering.fixed_weight", f"weights that sum to {total:g}", "less than 1 in all")
    constant = np.array([fixed.get(name, 0.0) for name in columns])
    return np.asarray(constant[:, None] + (1 - total) * np.eye(len(columns))[:, free])
