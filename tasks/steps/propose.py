"""Step `propose`: one per law and request. Key: the fitted law, tokens, natural mixture, and all that is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from olmix_core.formatting import amount
from olmix_core.proposal.leaf_proposal import propose_for_leaves
from olmix_core.proposal.request import ProposalRequest
from olmix_core.proposal.tradeoffs import trade_off_curves
from olmix_core.report import mixture
from olmix_core.report.markdown import picture, table
from olmix_core.report.style import report_style
from olmix_core.serialization import INLINE, OMIT_NONE, JsonRecord
from olmix_core.storage.integrity import checksum
from olmix_core.storage.layout import (
    SURROGATE_FILE,
    TARGET_FILE,
    TRADE_OFFS_FILE,
    fit_path,
    proposal_path,
    target_path,
)
from olmix_core.storage.store import Store
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.fit import load as load_surrogate
from olmix_core.surrogate.scaling.target_json import read_target
from tasks.runtime.artifacts import Artifacts, Done
from tasks.runtime.payload import DATA, EVAL, parts, result_of
from tasks.runtime.step import step

# Where the fields of a request come from.
REQUEST_SOURCES = parts(
    columns="plan",
    reusable="plan",
    splits=DATA,
    natural="statistics",
    tokens="statistics",
    task_weights=EVAL,
)


@dataclass(frozen=True)
class ProposePayload(JsonRecord):
    """What a proposal depends on.

    Attributes:
        fit: Key of the fitted law.
        request: The request.
        transfer: Key of that law at the size of the target; None to propose at the size of the proxies.
    """

    fit: str = field(metadata=result_of("fit"))
    request: ProposalRequest = field(metadata=INLINE | REQUEST_SOURCES)
    transfer: str | None = field(default=None, metadata=OMIT_NONE | result_of("transfer"))


@dataclass(frozen=True)
class ProposeResult(JsonRecord):
    """A proposed mixture; all mappings are by leaf.

    Attributes:
        proposal: Its key.
        weights: Weights of the mixture.
        full_reuse: Weights that would be proposed if old ratios were kept; None where that was not asked.
        caps: Highest weights.
        at_cap: Whether the cap is reached.
        shadow_prices: BPB gained per unit of weight by which the cap rises.
        sequences: Whole sequences in the run.
        loosened: Leaves that were released so that the caps can be met.
        target_tokens: Tokens R of the run.
        status: What the solver says.
        gap: Upper bound on the suboptimality, in BPB.
        residual: How far the optimality conditions are from being met.
        files: Its files in the store.
    """

    proposal: str = ""
    weights: Mapping[str, float] = field(default_factory=dict)
    full_reuse: Mapping[str, float] | None = None
    caps: Mapping[str, float] = field(default_factory=dict)
    at_cap: Mapping[str, bool] = field(default_factory=dict)
    shadow_prices: Mapping[str, float] = field(default_factory=dict)
    sequences: Mapping[str, int] = field(default_factory=dict)
    loosened: Sequence[str] = ()
    target_tokens: float = 0.0
    status: str = ""
    gap: float | None = None
    residual: float = 0.0
    files: dict[str, str | None] = field(default_factory=dict)


def _describe(done: Sequence[Done[ProposePayload, ProposeResult]], artifacts: Artifacts) -> list[str]:
    [outcome] = done
    result, request = outcome.result, outcome.payload.request
    leaves = sorted(result.weights, key=lambda leaf: -result.weights[leaf])
    frame = pd.DataFrame(
        {
            "domain": [artifacts.label(leaf) for leaf in leaves],
            "weight": [result.weights[leaf] for leaf in leaves],
            "natural": [request.natural[leaf] for leaf in leaves],
            "cap": [result.caps[leaf] for leaf in leaves],
            "at_cap": [result.at_cap[leaf] for leaf in leaves],
            "tokens": [request.tokens[leaf] for leaf in leaves],
        }
    )
    epochs = result.target_tokens / frame["tokens"].to_numpy(np.float64)
    mixtures = {"natural": frame["natural"].to_numpy(), "proposed": frame["weight"].to_numpy()}
    with report_style():
        figure = mixture.bars(frame, mixtures, epochs)
    rows = [
        {
            "domain": row["domain"],
            "natural": f"{row['natural']:.4f}",
            "weight": f"{row['weight']:.4f}",
            "epochs": f"{row['weight'] * per:.2f}",
            "": "at cap" if row["at_cap"] else "",
        }
        for row, per in zip(frame.to_dict("records"), epochs, strict=True)
    ]
    settings = f"KL weight {request.kl:g}, at most {request.repetition:g} epochs"
    summary = f"{settings} in {amount(result.target_tokens)} tokens. Solver: {result.status}"
    if result.gap is not None:
        summary += f"; no feasible mixture is better by more than {result.gap:.1g} BPB"
    return [f"{summary}.", "", *table(rows), "", picture(figure, "Natural and proposed weights")]


@step(
    "propose",
    3,
    title="find the best mixture",
    after="fit",
    payload=ProposePayload,
    result=ProposeResult,
    artifact=_describe,
)
def propose(
    payload: ProposePayload, store: Store, *, labels: Mapping[str, str], bound_names: Sequence[str]
) -> ProposeResult:
    """Find the mixture that minimises predicted mean BPB + lambda KL(q || reference) within caps and bounds.

    Args:
        payload: The law and the request.
        store: The store.
        labels: Labels of the leaves, for errors.
        bound_names: Names of the bounds, for errors.

    Returns:
        The proposal.

    Raises:
        ProposalError: No mixture meets the request.
    """
    key = propose.key(payload)
    surrogate: Surrogate
    if payload.transfer is None:
        surrogate = load_surrogate(store.read_json(fit_path(payload.fit, SURROGATE_FILE)))
    else:
        surrogate = read_target(store.read_json(target_path(payload.transfer, TARGET_FILE)))
    request = payload.request
    answer = propose_for_leaves(surrogate, request, labels=labels, bound_names=bound_names)
    reused = None
    if request.reusable:
        kept = replace(request, columns=request.reusable)
        reused = propose_for_leaves(surrogate, kept, labels=labels, bound_names=bound_names)
    curves = trade_off_curves(surrogate, request, labels=labels, bound_names=bound_names)
    curves_csv = curves.to_csv(index=False, lineterminator="\n").encode()
    store.write_bytes(proposal_path(key, TRADE_OFFS_FILE), curves_csv)
    leaves = answer.leaves
    return ProposeResult(
        proposal=key,
        weights=leaves.mapping(answer.weights),
        full_reuse=leaves.mapping(reused.weights) if reused else None,
        caps=leaves.mapping(answer.caps),
        at_cap=leaves.mapping(answer.at_cap),
        shadow_prices=leaves.mapping(answer.shadow_prices),
        sequences=leaves.mapping(answer.sequences),
        loosened=list(answer.loosened),
        target_tokens=request.run_tokens,
        status=answer.proposal.status,
        gap=answer.proposal.gap,
        residual=answer.proposal.residual,
        files={proposal_path(key, TRADE_OFFS_FILE): checksum(curves_csv)},
    )
