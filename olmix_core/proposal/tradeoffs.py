"""What each wish costs: proposals along the strength of the KL term, the epochs allowed and the length of the run.

One wish is varied at a time, all else as asked. The rows show what a looser wish would gain, which is what a person
weighs against staying near a known mixture, repeating data, or a shorter run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from olmix_core.errors import ProposalError
from olmix_core.mixture import Array
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.intervals import interval

KL = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
REPETITION = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 16.0)
LENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # times the target tokens

COLUMNS = ("parameter", "value", "asked", "bpb", "gain", "gain_low", "gain_high", "divergence", "at_cap", "status")


@dataclass(frozen=True)
class Point:
    """A mixture q [atoms] of the model, how many leaves are at their cap, and how it was solved."""

    q: Array
    at_cap: int
    status: str


def trade_offs(
    model: Surrogate,
    ask: Callable[[Mapping[str, Any]], Point],
    asked: Mapping[str, float | None],
    natural: Array,
    task_weights: Array | None,
) -> pd.DataFrame:
    """Proposals for every value of each wish in `asked` ({kl, repetition, target_tokens}: None leaves a wish out).

    ask(changed wishes) answers or raises ProposalError, which becomes the row's status. natural [atoms].

    Columns: parameter, value, asked (the value that was asked for), bpb, gain over natural with its 90 % interval,
    divergence KL(q || natural) in nats, at_cap (leaves), status.
    """
    grids = {"kl": KL, "repetition": REPETITION}
    if asked.get("target_tokens") is not None:
        grids["target_tokens"] = tuple(float(asked["target_tokens"] or 0) * length for length in LENGTHS)
    before = model.objective(natural[None], task_weights)[0]
    rows: list[dict[str, Any]] = []
    for parameter, grid in grids.items():
        wanted = asked.get(parameter)
        if wanted is None:
            continue
        for value in sorted({*grid, wanted}):
            row: dict[str, Any] = {"parameter": parameter, "value": value, "asked": value == wanted}
            try:
                point = ask({parameter: value})
            except ProposalError as error:
                rows.append({**row, "status": str(error)})
                continue
            gain = interval(model, point.q, task_weights, natural)
            used = (point.q > 0) & (natural > 0)
            row |= {
                "bpb": before - gain.bpb,
                "gain": gain.bpb,
                "gain_low": gain.low,
                "gain_high": gain.high,
                "divergence": float(np.sum(point.q[used] * np.log(point.q[used] / natural[used]))),
                "at_cap": point.at_cap,
                "status": point.status,
            }
            rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))
