"""Files of a fit of published files: mix.csv, mix.json, and the folder.

Formats are those of a published mix, with null for everything that depends on content.
"""

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from olmix_core.errors import StoreError
from olmix_core.interop.fit_domains import Domains
from olmix_core.interop.fit_inputs import FitInputs
from olmix_core.mixes.predicted_mixtures import predict_mixtures
from olmix_core.mixes.record import FitRecord
from olmix_core.mixes.record_builder import now, package_versions, solver_notes
from olmix_core.mixes.record_parts import FitEvidence, FitLeaf, SolverRecord, TaskRecord
from olmix_core.mixes.record_settings import FitRecordSettings
from olmix_core.mixes.tables import LeafRow, make_table
from olmix_core.mixture import Array
from olmix_core.proposal.constraints import feasible_set
from olmix_core.proposal.rounding import round_to_sequences
from olmix_core.proposal.solve import Proposal
from olmix_core.storage.layout import (
    DIAGNOSTICS_FILE,
    RECORD_FILE,
    REPORT_FILE,
    RUNS_FILE,
    SURROGATE_FILE,
    TABLE_FILE,
    TRADE_OFFS_FILE,
)
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.trust import merged_flags, mixture_flags

FILES = (
    TABLE_FILE,
    SURROGATE_FILE,
    DIAGNOSTICS_FILE,
    TRADE_OFFS_FILE,
    "trade_offs.png",
    "held_out.csv",
    RUNS_FILE,
    REPORT_FILE,
    "predicted_vs_measured.png",
    "mixture.png",
    "effects.png",
    RECORD_FILE,
)

SEQUENCE_LENGTH = 4096  # tokens; the configuration does not say
_PACKAGES = ("olmix-flows", "numpy", "scipy", "pandas", "cvxpy", "matplotlib")


def fit_table(domains: Domains, proposal: Proposal) -> pd.DataFrame:
    """Make mix.csv of a fit.

    Args:
        domains: The columns of ratios and the leaves inside them.
        proposal: The proposed mixture over the columns.

    Returns:
        The table of `olmix_core.mixes.tables.make_table`.
    """
    rows = [row for c in range(len(domains.columns)) for row in _rows(domains, proposal, c)]
    if domains.target_tokens is not None:
        limits = feasible_set(np.eye(len(rows)), np.array([row.cap for row in rows]), None, None)
        weights = np.array([row.weight for row in rows])
        sequences = round_to_sequences(weights, domains.target_tokens, SEQUENCE_LENGTH, limits)
        rows = [replace(row, sequences=float(count)) for row, count in zip(rows, sequences, strict=True)]
    return make_table(rows, SEQUENCE_LENGTH)


def _rows(domains: Domains, proposal: Proposal, c: int) -> list[LeafRow]:
    """The leaves of column `c`, without their sequences."""
    column = domains.columns[c]
    caps = domains.leaf_caps(column)
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(column.shares > 0, caps / column.shares, np.inf)
    rows = []
    for j, leaf in enumerate(column.leaves):
        # The leaf with the least room limits the column.
        limits = bool(proposal.at_cap[c]) and room[j] <= room.min() * (1 + 1e-9)
        price = proposal.shadow_prices[c] / column.shares[j] if limits else 0.0
        rows.append(
            LeafRow(
                domain=leaf,
                tokens=column.tokens[j],
                natural=column.natural[j],
                weight=proposal.weights[c] * column.shares[j],
                sequences=math.nan,
                cap=caps[j],
                at_cap=limits,
                price=price,
                per_billion_tokens=price * domains.weight_per_token() * 1e9,
                previous=math.nan,
            )
        )
    return rows


@dataclass(frozen=True)
class Cautions:
    """Where predictions need caution.

    Attributes:
        flags: {task: reason}.
        notes: Remarks on the objective.
    """

    flags: Mapping[str, str]
    notes: tuple[str, ...]


def fit_record(
    inputs: FitInputs, surrogate: Surrogate, proposal: Proposal, table: pd.DataFrame, cautions: Cautions
) -> FitRecord:
    """Build mix.json, without the checksums of the other files.

    Args:
        inputs: Configuration, swarm and domains.
        surrogate: The fitted law.
        proposal: The proposed mixture over the columns of ratios.
        table: mix.csv, whose order the weights follow.
        cautions: Where predictions need caution.

    Returns:
        The record.
    """
    config, domains = inputs.config, inputs.domains
    mixtures = {"natural": domains.natural(), "proposed": proposal.weights}
    values = predict_mixtures(surrogate, mixtures, inputs.task_weights)
    solver = SolverRecord(status=proposal.status, gap=proposal.gap, residual=proposal.residual)
    return FitRecord(
        name=inputs.file.stem,
        created=now(),
        predicted=values.predicted,
        gain=values.gain,
        tasks=_tasks(inputs, surrogate, values.by_task["natural"], proposal.predicted),
        domain_set=tuple(
            FitLeaf(label=leaf, column=column.name, tokens=_known(tokens))
            for column in domains.columns
            for leaf, tokens in zip(column.leaves, column.tokens, strict=True)
        ),
        target_tokens=domains.target_tokens,
        family=surrogate.family,
        gamma=surrogate.gamma,
        solver=solver,
        flags=merged_flags(cautions.flags, mixture_flags(surrogate, mixtures)),
        versions=package_versions(_PACKAGES),
        notes=(*inputs.notes(), *surrogate.notes, *cautions.notes, *solver_notes(solver)),
        weights=dict(zip(table["domain"], table["weight"], strict=True)),
        evidence=FitEvidence(
            runs=len(inputs.training.runs),
            held_out=0 if inputs.held_out is None else len(inputs.held_out.runs),
            domains=len(surrogate.leaves),
        ),
        differences=tuple(inputs.differences()),
        settings=FitRecordSettings.model_validate(
            {**config.model_dump(mode="json"), "published_behaviour": inputs.published_behaviour}
        ),
        files={},
    )


def _tasks(inputs: FitInputs, surrogate: Surrogate, natural: Array, proposed: Array) -> tuple[TaskRecord, ...]:
    """The tasks with their predicted BPB [T] at the natural and the proposed mixture."""
    families = {} if inputs.config.eval is None else inputs.config.eval.families
    family_of = {task: family for family, members in families.items() for task in members}
    return tuple(
        TaskRecord(
            name=task,
            family=family_of.get(task),
            weight=float(inputs.task_weights[t]),
            natural=float(natural[t]),
            proposed=float(proposed[t]),
        )
        for t, task in enumerate(surrogate.tasks)
    )


def labelled(columns: tuple[str, ...]) -> list[dict[str, str | None]]:
    """List the domains of surrogate.json.

    Args:
        columns: Columns of ratios.

    Returns:
        Their names, without fingerprints.
    """
    return [{"label": name, "fingerprint": None} for name in columns]


def _known(tokens: float) -> float | None:
    return None if math.isnan(tokens) else float(tokens)


def as_csv(table: pd.DataFrame, *, index: bool = True) -> bytes:
    """Render a table as CSV.

    Args:
        table: The table.
        index: Whether to write its index.

    Returns:
        Content of the file.
    """
    return table.to_csv(index=index, lineterminator="\n").encode()


def write_folder(output: Path, contents: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write the files of a fit; those of an earlier fit are replaced or removed.

    All files are written to a temporary folder first, then moved into place, mix.json last.

    Args:
        output: The folder.
        contents: {name: content}.

    Returns:
        The files.

    Raises:
        StoreError: If the folder cannot be written.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=output) as aside:
            for name, content in contents.items():
                (Path(aside) / name).write_bytes(content)
            for name in FILES:
                if name in contents:
                    (Path(aside) / name).replace(output / name)
                else:
                    (output / name).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{output}: found {error.strerror or error}; expected a folder that can be written") from error
    return tuple(output / name for name in FILES if name in contents)
