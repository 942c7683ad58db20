"""What a fit of published files leaves behind: mix.csv and mix.json, and how the folder is written.

The formats are those of a published mix (`record`), with null for what only content can tell.
"""

import importlib.metadata
import math
import platform
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from olmix_core.errors import StoreError
from olmix_core.interop.fit_domains import Domains
from olmix_core.mixture import Array
from olmix_core.proposal.constraints import region
from olmix_core.proposal.rounding import whole_sequences
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
from olmix_core.surrogate.intervals import interval

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
        limits = region(np.eye(len(table)), table["cap"].to_numpy(), None, None)
        sequences = whole_sequences(table["weight"].to_numpy(), target, SEQUENCE_LENGTH, limits).astype(np.float64)
    epochs = sequences * SEQUENCE_LENGTH / table["tokens"].replace(0.0, math.nan)
    place = list(table.columns).index("ratio") + 1
    table.insert(place, "sequences", sequences)
    table.insert(place + 1, "epochs", epochs)
    return table.sort_values(["weight", "domain"], ascending=[False, True], ignore_index=True)


def mix_record(
    name: str,
    domains: Domains,
    surrogate: Surrogate,
    proposal: Proposal,
    weights: Array,
    families: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """mix.json, without what belongs to the configuration and the swarm. families: {family: tasks}."""
    family_of = {task: family for family, members in families.items() for task in members}
    natural = domains.natural()
    by_task = {"natural": surrogate.predict(natural[None])[0], "proposed": proposal.predicted}
    return {
        "name": name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "predicted": {
            "natural": interval(surrogate, natural, weights).to_json(),
            "proposed": interval(surrogate, proposal.weights, weights).to_json(),
        },
        "gain": {"over_natural": interval(surrogate, proposal.weights, weights, natural).to_json()},
        "tasks": [
            {
                "name": task,
                "fingerprint": None,
                "family": family_of.get(task),
                "weight": float(weights[t]),
                **{name: float(bpb[t]) for name, bpb in by_task.items()},
            }
            for t, task in enumerate(surrogate.tasks)
        ],
        "domain_set": [
            {"label": leaf, "fingerprint": None, "column": column.name, "tokens": _known(tokens)}
            for column in domains.columns
            for leaf, tokens in zip(column.leaves, column.tokens, strict=True)
        ],
        "target_tokens": domains.target_tokens,
        "family": surrogate.family,
        "gamma": surrogate.gamma,
        "solver": {"status": proposal.status, "gap": proposal.gap, "residual": proposal.residual},
        "flags": dict(surrogate.flags),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
    }


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
