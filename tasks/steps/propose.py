"""Step `propose`: one per law and wish. Key: the fitted law, tokens, natural mixture, and all that is asked for."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from olmix_core.proposal.request import Bound, ProposalRequest, propose_for_leaves
from olmix_core.proposal.tradeoffs import Point, trade_offs
from olmix_core.storage.integrity import checksum
from olmix_core.storage.layout import SURROGATE_FILE, TRADE_OFFS_FILE, fit_path, proposal_path
from olmix_core.storage.store import Store
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.fit import load as load_surrogate
from tasks.runtime.step import Payload, Result, step


def wish_of(payload: Mapping[str, Any]) -> ProposalRequest:
    """The wish that a payload states."""
    tokens = payload["tokens"]
    return ProposalRequest(
        columns=payload["columns"],
        splits=payload["splits"],
        natural=payload["natural"],
        tokens=tokens,
        target_tokens=payload["target_tokens"] or float(sum(tokens.values())),
        repetition=payload["repetition"],
        kl=payload["kl"],
        task_weights=payload["task_weights"],
        bounds=[Bound(tuple(leaves), low, high) for leaves, low, high in payload["bounds"]],
        reference=payload["reference"],
        pessimism=payload["pessimism"],
        sequence_length=payload["sequence_length"],
    )


@step("propose", code_version=3)
def propose(payload: Payload, store: str, *, labels: dict[str, str], bound_names: list[str]) -> Result:
    """The mixture that minimises predicted mean BPB + lambda KL(q || reference) within caps and bounds.

    `labels` name the leaves in errors, `bound_names` the bounds. With payload["reusable"], columns that keep old
    ratios, it is also said what would have been proposed over these: `full_reuse`.
    """
    opened, key = Store(store), propose.key(payload)
    model = load_surrogate(opened.read_json(fit_path(payload["fit"], SURROGATE_FILE)))
    wish = wish_of(payload)
    answer = propose_for_leaves(model, wish, labels=labels, bound_names=bound_names)
    found = answer.proposal
    reused = None
    if payload.get("reusable"):
        reused = propose_for_leaves(
            model, replace(wish, columns=payload["reusable"]), labels=labels, bound_names=bound_names
        )
    table = _trade_offs(model, wish, labels, bound_names)
    curves = table.to_csv(index=False, lineterminator="\n").encode()
    opened.write_bytes(proposal_path(key, TRADE_OFFS_FILE), curves)

    by_leaf = wish.leaves.mapping
    return {
        "proposal": key,
        "weights": by_leaf(answer.weights),
        "full_reuse": by_leaf(reused.weights) if reused else None,
        "caps": by_leaf(answer.caps),
        "at_cap": by_leaf(answer.at_cap),
        "shadow_prices": by_leaf(answer.shadow_prices),
        "sequences": by_leaf(answer.sequences),
        "loosened": list(answer.loosened),
        "target_tokens": wish.target_tokens,
        "status": found.status,
        "gap": found.gap,
        "residual": found.residual,
        "files": {proposal_path(key, TRADE_OFFS_FILE): checksum(curves)},
    }


def _trade_offs(
    model: Surrogate, wish: ProposalRequest, labels: dict[str, str], bound_names: list[str]
) -> pd.DataFrame:
    """What other wishes would give; nothing for a family whose every proposal is a long search."""

    def ask(changed: Mapping[str, Any]) -> Point:
        answer = propose_for_leaves(model, replace(wish, **changed), labels=labels, bound_names=bound_names)
        return Point(answer.proposal.weights, int(answer.at_cap.sum()), answer.proposal.status)

    asked = {"kl": wish.kl, "repetition": wish.repetition, "target_tokens": wish.target_tokens}
    return trade_offs(
        model,
        ask,
        asked if model.is_convex else {},
        wish.in_atoms(wish.natural, model),
        np.array([wish.task_weights[task] for task in model.tasks]),
    )
