"""What a fit of published files leaves behind: mix.csv and mix.json, and how the folder is written.

The formats are those of a published mix (`record`), with null for what only content can tell.
"""

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from olmix_core.errors import StoreError
from olmix_core.interop.fit_domains import Domains
from olmix_core.interop.fit_inputs import FitInputs
from olmix_core.mixes.record import FitRecord
from olmix_core.mixes.record_builder import now, package_versions, predict_mixtures
from olmix_core.mixes.record_parts import FitEvidence, FitLeaf, FitSettings, SolverRecord, TaskRecord
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

SEQUENCE_LENGTH = 4096  # tokens: what the run is taken to train on at once
_PACKAGES = ("olmix-flows", "numpy", "scipy", "pandas", "cvxpy", "matplotlib")


def mix_table(domains: Domains, proposal: Proposal) -> pd.DataFrame:
    """mix.csv: a row per leaf, the heaviest first."""
    rows = []
    target = domains.target_tokens
    for c, column in enumerate(domains.columns):
        caps = domains.leaf_caps(column)
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(column.shares > 0, caps / column.shares, np.inf)
        for j, leaf in enumerate(column.leaves):
            weight, natural, tokens = proposal.weights[c] * column.shares[j], column.natural[j], column.tokens[j]
            # The leaf with the least room is the one that holds the column.
            holds = bool(proposal.at_cap[c]) and room[j] <= room.min() * (1 + 1e-9)
            price = proposal.shadow_prices[c] / column.shares[j] if holds else 0.0
            rows.append(
                {
                    "domain": leaf,
                    "tokens": tokens,
                    "natural": natural,
                    "weight": weight,
                    "ratio": weight / natural if natural > 0 else math.nan,
                    "cap": caps[j],
                    "at_cap": holds,
                    "shadow_price": 0.01 * price,  # per 1 % of the target tokens
                    "per_billion_tokens": price * domains.weight_per_token() * 1e9,
                    "previous": math.nan,
                }
            )
    table = pd.DataFrame(rows)
    sequences = np.full(len(table), math.nan)
    if target is not None:
        limits = feasible_set(np.eye(len(table)), table["cap"].to_numpy(), None, None)
        sequences = round_to_sequences(table["weight"].to_numpy(), target, SEQUENCE_LENGTH, limits).astype(np.float64)
    epochs = sequences * SEQUENCE_LENGTH / table["tokens"].replace(0.0, math.nan)
    place = list(table.columns).index("ratio") + 1
    table.insert(place, "sequences", sequences)
    table.insert(place + 1, "epochs", epochs)
    return table.sort_values(["weight", "domain"], ascending=[False, True], ignore_index=True)


def fit_record(inputs: FitInputs, surrogate: Surrogate, proposal: Proposal, table: pd.DataFrame) -> FitRecord:
    """Build mix.json, without the checksums of the other files.

    Args:
        inputs: Configuration, swarm and domains.
        surrogate: The fitted law.
        proposal: The proposed mixture over the columns of ratios.
        table: mix.csv, of which the weights by label are taken in its order.
    """
    config, domains = inputs.config, inputs.domains
    natural = domains.natural()
    values = predict_mixtures(surrogate, {"natural": natural, "proposed": proposal.weights}, inputs.task_weights)
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
        solver=SolverRecord(status=proposal.status, gap=proposal.gap, residual=proposal.residual),
        flags=dict(surrogate.flags),
        versions=package_versions(_PACKAGES),
        notes=(*inputs.notes(), *surrogate.notes),
        weights=dict(zip(table["domain"], table["weight"], strict=True)),
        evidence=FitEvidence(
            runs=len(inputs.training.runs),
            held_out=0 if inputs.held_out is None else len(inputs.held_out.runs),
            domains=len(surrogate.leaves),
        ),
        differences=tuple(inputs.differences()),
        settings=FitSettings.model_validate(
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
    """The domains of surrogate.json: names without a fingerprint."""
    return [{"label": name, "fingerprint": None} for name in columns]


def _known(tokens: float) -> float | None:
    return None if math.isnan(tokens) else float(tokens)


def as_csv(table: pd.DataFrame, *, index: bool = True) -> bytes:
    """A table as a CSV file."""
    return table.to_csv(index=index, lineterminator="\n").encode()


def write_folder(output: Path, contents: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write all files aside first, then move them into place, mix.json last; those of an earlier fit are replaced.

    Raises StoreError where the folder cannot be written.
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
