"""Trade-offs: proposals along the strength of the KL term, the epochs allowed and the length of the run.

One setting is varied at a time. The rows show what a looser setting would gain, to be weighed against staying near a
known mixture, repeating data less, or a longer run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from olmix_core.errors import ProposalError
from olmix_core.mixture import Array
from olmix_core.proposal.leaf_proposal import propose_for_leaves
from olmix_core.proposal.request import ProposalRequest
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.intervals import interval

KL = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
REPETITION = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 16.0)
LENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # times the target tokens

COLUMNS = ("parameter", "value", "asked", "bpb", "gain", "gain_low", "gain_high", "divergence", "at_cap", "status")


@dataclass(frozen=True)
class Point:
    """One proposal of a curve.

    Attributes:
        q: Mixture over the surrogate's leaves.
        at_cap: Number of leaves at their cap.
        status: How it was solved.
    """

    q: Array
    at_cap: int
    status: str


def trade_off_curves(
    surrogate: Surrogate,
    request: ProposalRequest,
    *,
    labels: Mapping[str, str] | None = None,
    bound_names: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Vary the settings of a request.

    Args:
        surrogate: The fit, over atoms.
        request: The request.
        labels: {leaf: name} for messages.
        bound_names: Names of the bounds for messages.

    Returns:
        The table of `trade_offs`; empty for a surrogate that is not convex, whose every proposal is a long search.
    """

    def solve(changed: Mapping[str, float]) -> Point:
        answer = propose_for_leaves(surrogate, _changed(request, changed), labels=labels, bound_names=bound_names)
        _ = answer.sequences  # raises where the run is too short
        return Point(answer.proposal.weights, int(answer.at_cap.sum()), answer.proposal.status)

    settings = {"kl": request.kl, "repetition": request.repetition, "target_tokens": request.run_tokens}
    return trade_offs(
        surrogate,
        solve,
        settings if surrogate.is_convex else {},
        request.in_atoms(request.natural, surrogate),
        request.weights_of_tasks(surrogate),
    )


def _changed(request: ProposalRequest, changed: Mapping[str, float]) -> ProposalRequest:
    return replace(
        request,
        kl=changed.get("kl", request.kl),
        repetition=changed.get("repetition", request.repetition),
        target_tokens=changed.get("target_tokens", request.target_tokens),
    )


def trade_offs(
    surrogate: Surrogate,
    solve: Callable[[Mapping[str, float]], Point],
    settings: Mapping[str, float | None],
    natural: Array,
    task_weights: Array | None,
) -> pd.DataFrame:
    """Vary each setting of a proposal along its grid.

    Args:
        surrogate: The fit.
        solve: {setting: value} to the proposal with that setting changed; a ProposalError becomes the row's status.
        settings: The settings {kl, repetition, target_tokens} of the proposal; None leaves one out.
        natural: The natural mixture over the surrogate's leaves.
        task_weights: [T] weights of the objective; None means equal.

    Returns:
        Columns parameter, value, asked (the value is that of the proposal), bpb, gain over natural with the ends of its
        90 % interval, divergence KL(q || natural) in nats, at_cap (leaves), status.
    """
    grids = {"kl": KL, "repetition": REPETITION}
    if settings.get("target_tokens") is not None:
        grids["target_tokens"] = tuple(float(settings["target_tokens"] or 0) * length for length in LENGTHS)
    before = surrogate.objective(natural[None], task_weights)[0]
    rows: list[dict[str, object]] = []
    for parameter, grid in grids.items():
        chosen = settings.get(parameter)
        if chosen is None:
            continue
        for value in sorted({*grid, chosen}):
            row: dict[str, object] = {"parameter": parameter, "value": value, "asked": value == chosen}
            try:
                point = solve({parameter: value})
            except ProposalError as error:
                rows.append({**row, "status": str(error)})
                continue
            gain = interval(surrogate, point.q, task_weights, natural)
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
