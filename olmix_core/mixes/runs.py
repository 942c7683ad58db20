"""Runs that a law was fitted to: their mixtures, measured BPB, and predictions of a law that has not seen them.

runs.parquet has a row per run. It lies beside the law, so that a mix can be inspected (predicted against measured,
where the runs lie, which runs inform which leaf) without another fit. Mixtures are over the columns of the law;
labels are those of the record that the file belongs to.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from olmix_core.errors import StoreError
from olmix_core.mixture import LeafIndex
from olmix_core.surrogate.cross_validation import Diagnostics
from olmix_core.surrogate.data import SwarmData

_MAP = pa.map_(pa.string(), pa.float64())
SCHEMA = pa.schema(
    [
        ("run", pa.string()),
        ("vintage", pa.string()),
        ("mixture", _MAP),
        ("measured", _MAP),
        ("predicted", _MAP),
        ("std", _MAP),
        ("losses", pa.list_(pa.struct([("step", pa.int64()), ("loss", pa.float64())]))),
    ]
)


@dataclass(frozen=True)
class FittedRun:
    """One run of the evidence, over the columns of a law.

    Attributes:
        run: Its id.
        mixture: {column: weight}, zeros left out.
        measured: {task: measured BPB}.
        predicted: {task: BPB} of the same tasks by a law fitted without this run; empty for the runs of earlier swarms,
            which may lie at other levels than the newest, whose level is predicted.
        std: {task: standard deviation of a new measurement} around that prediction; empty likewise.
        vintage: The version whose swarm the run belongs to; None where unknown.
        losses: (step, training loss in nats per token); empty where unknown.
    """

    run: str
    mixture: Mapping[str, float]
    measured: Mapping[str, float]
    predicted: Mapping[str, float]
    std: Mapping[str, float]
    vintage: str | None = None
    losses: Sequence[tuple[int, float]] = ()


def held_out(evidence: SwarmData, diagnostics: Diagnostics) -> list[FittedRun]:
    """List the runs of a fit with their cross-validated predictions.

    Args:
        evidence: The runs that were fitted.
        diagnostics: Cross-validation of the fit, of some of the runs.

    Returns:
        The runs, by id.
    """
    row = {run: k for k, run in enumerate(diagnostics.runs)}
    runs = []
    for k in sorted(range(len(evidence.runs)), key=lambda k: evidence.runs[k]):
        run, seen = evidence.runs[k], np.flatnonzero(~np.isnan(evidence.Y[k]))
        mixture = LeafIndex(evidence.leaves).mixture(evidence.X[k])
        measured = {evidence.tasks[t]: float(evidence.Y[k, t]) for t in seen}
        predicted, std = (
            {evidence.tasks[t]: float(values[row[run], t]) for t in seen} if run in row else {}
            for values in (diagnostics.predicted, diagnostics.std)
        )
        runs.append(FittedRun(run, mixture, measured, predicted, std))
    return runs


def to_parquet(runs: Sequence[FittedRun]) -> bytes:
    """Write runs as parquet.

    Args:
        runs: The runs.

    Returns:
        The content of runs.parquet.
    """
    rows = [
        {
            "run": run.run,
            "vintage": run.vintage,
            "mixture": sorted(run.mixture.items()),
            "measured": sorted(run.measured.items()),
            "predicted": sorted(run.predicted.items()),
            "std": sorted(run.std.items()),
            "losses": [{"step": step, "loss": loss} for step, loss in run.losses],
        }
        for run in runs
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), buffer, compression="zstd")
    return buffer.getvalue()


def from_parquet(content: bytes) -> list[FittedRun]:
    """Read runs.parquet.

    Args:
        content: Content of the file.

    Returns:
        The runs.

    Raises:
        StoreError: It is no such file.
    """
    try:
        table = pq.read_table(io.BytesIO(content), schema=SCHEMA)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise StoreError(f"runs.parquet cannot be read: {error}; delete it and publish the mix again") from error
    return [
        FittedRun(
            run=row["run"],
            vintage=row["vintage"],
            mixture=dict(row["mixture"]),
            measured=dict(row["measured"]),
            predicted=dict(row["predicted"]),
            std=dict(row["std"]),
            losses=tuple((point["step"], point["loss"]) for point in row["losses"] or ()),
        )
        for row in table.to_pylist()
    ]
