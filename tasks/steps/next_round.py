"""Step `choose`: one per round of an adaptive swarm. Key: the law so far, what is asked of the mixture, and how many.

What the next proxies train on is chosen among mixtures drawn as the swarm was, mixtures around the proposal of the
moment, and the proposals of laws that the runs leave possible (see `olmix_core.planning.sequential`).
"""

import numpy as np

from olmix_core.config.config import Swarm
from olmix_core.evidence.atoms import atom_matrix
from olmix_core.mixture import tidy
from olmix_core.planning.sequential import Objective, draw_optima, select_batch
from olmix_core.planning.swarm import sample_swarm
from olmix_core.proposal.expansion import expansion
from olmix_core.proposal.request import propose_for_leaves
from olmix_core.storage.layout import surrogate_path
from olmix_core.storage.store import Store
from olmix_core.surrogate.law_surrogate import LawSurrogate
from tasks.runtime.step import Payload, Result, step
from tasks.steps.propose import wish_of

DRAWS = 32  # laws that are asked for their optimum
CANDIDATES = 150  # mixtures drawn around each of two centres
NEAR = 0.9  # of a centre at the proposal; the rest is natural, so that no leaf is out of reach


@step("choose", code_version=1)
def next_round(payload: Payload, store: str, *, label: str) -> Result:
    """The mixtures of the next round, {content: weight} each, and what is still to be gained, in BPB.

    No mixtures where that is below payload["tolerance"]. `label` names the round.
    """
    model = LawSurrogate.from_json(Store(store).read_json(surrogate_path(payload["fit"])))
    wish, swarm = wish_of(payload["wish"]), payload["swarm"]
    leaves = wish.leaves
    columns, _ = wish.loosened()
    matrix, made_of = expansion(columns, leaves), atom_matrix(leaves, model.leaves, wish.splits)
    answer = propose_for_leaves(model, wish)
    goal = Objective(
        expansion=made_of @ matrix,
        reference=wish.in_atoms(wish.reference or wish.natural, model),
        caps=np.where(made_of.sum(axis=1) > 0, made_of @ wish.caps, np.inf),
        kl=wish.kl,
        task_weights=np.array([wish.task_weights[task] for task in model.tasks]),
    )
    seed = swarm["settings"]["seed"] + 1000 * payload["round"]
    optima = draw_optima(model, goal, answer.proposal.weights, draws=DRAWS, seed=seed)
    if optima.remaining_gain < payload["tolerance"]:
        return {"mixtures": [], "remaining_gain": optima.remaining_gain}
    natural = np.array([wish.natural[leaf] for leaf in leaves])
    settings = Swarm.model_validate({**swarm["settings"], "seed": seed, "bounds": {}})
    lower, upper = np.array([swarm["bounds"].get(leaf, (0.0, 1.0)) for leaf in leaves]).T
    drawn = [
        sample_swarm(CANDIDATES, centre @ (matrix > 0), matrix, settings, lower, upper)
        for centre in (natural, NEAR * answer.weights + (1 - NEAR) * natural)
    ]
    asked = optima.samples @ (made_of > 0)
    within = np.all((asked >= lower) & (asked <= upper), axis=1)
    candidates = np.vstack([*drawn, *(tidy(q)[None] for q in asked[within])])
    chosen = candidates[select_batch(model, optima, candidates @ made_of.T, payload["count"], goal)]
    return {
        "mixtures": [{leaf: float(w) for leaf, w in zip(leaves, mixture, strict=True) if w > 0} for mixture in chosen],
        "remaining_gain": optima.remaining_gain,
    }
