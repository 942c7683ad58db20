"""Step `propose`: one per law and wish. Key: the fitted law, tokens, natural mixture, and all that is asked for."""

from dataclasses import replace

from olmix_core.proposal.request import ProposalRequest, propose_for_leaves
from olmix_core.proposal.tradeoffs import trade_off_curves
from olmix_core.storage.integrity import checksum
from olmix_core.storage.layout import SURROGATE_FILE, TRADE_OFFS_FILE, fit_path, proposal_path
from olmix_core.storage.store import Store
from olmix_core.surrogate.fit import load as load_surrogate
from tasks.runtime.step import Payload, Result, step


@step("propose", code_version=3)
def propose(payload: Payload, store: str, *, labels: dict[str, str], bound_names: list[str]) -> Result:
    """The mixture that minimises predicted mean BPB + lambda KL(q || reference) within caps and bounds.

    `labels` name the leaves in errors, `bound_names` the bounds. With payload["reusable"], columns that keep old
    ratios, it is also said what would have been proposed over these: `full_reuse`.
    """
    opened, key = Store(store), propose.key(payload)
    model = load_surrogate(opened.read_json(fit_path(payload["fit"], SURROGATE_FILE)))
    wish = ProposalRequest.from_json(payload)
    answer = propose_for_leaves(model, wish, labels=labels, bound_names=bound_names)
    found = answer.proposal
    reused = None
    if wish.reusable:
        reused = propose_for_leaves(model, replace(wish, columns=wish.reusable), labels=labels, bound_names=bound_names)
    table = trade_off_curves(model, wish, labels=labels, bound_names=bound_names)
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
        "target_tokens": wish.run_tokens,
        "status": found.status,
        "gap": found.gap,
        "residual": found.residual,
        "files": {proposal_path(key, TRADE_OFFS_FILE): checksum(curves)},
    }
