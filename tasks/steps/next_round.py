"""Step `choose`: one per round of an adaptive swarm. Key: the law so far, what is asked of the mixture, and how many.

What the next proxies train on is chosen among mixtures drawn as the swarm was, mixtures around the proposal of the
moment, and the proposals of laws that the runs leave possible (see `olmix_core.planning.sequential`).
"""

from olmix_core.config.swarm import Swarm
from olmix_core.planning.sequential import RoundSettings, propose_round
from olmix_core.proposal.request import ProposalRequest
from olmix_core.storage.layout import SURROGATE_FILE, fit_path
from olmix_core.storage.store import Store
from olmix_core.surrogate.law_surrogate import LawSurrogate
from tasks.runtime.step import Payload, Result, step


@step("choose", code_version=1)
def next_round(payload: Payload, store: str, *, label: str) -> Result:
    """The mixtures of the next round, {content: weight} each, and what is still to be gained, in BPB.

    No mixtures where that is below payload["tolerance"]. `label` names the round.
    """
    surrogate = LawSurrogate.from_json(Store(store).read_json(fit_path(payload["fit"], SURROGATE_FILE)))
    swarm = payload["swarm"]
    seed = swarm["settings"]["seed"] + 1000 * payload["round"]
    settings = RoundSettings(
        swarm=Swarm.model_validate({**swarm["settings"], "seed": seed, "bounds": {}}),
        bounds={leaf: (low, high) for leaf, (low, high) in swarm["bounds"].items()},
        count=payload["count"],
        tolerance=payload["tolerance"],
    )
    chosen = propose_round(surrogate, ProposalRequest.from_json(payload["wish"]), settings)
    return {"mixtures": list(chosen.mixtures), "remaining_gain": chosen.remaining_gain}
