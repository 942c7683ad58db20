"""Step `propose`: one per law and wish. Key: the fitted law, tokens, natural mixture, caps, lambda, task weights."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmix_core.carry import atom_matrix
from olmix_core.mixture import caps, expansion
from olmix_core.proposal import check_feasible
from olmix_core.proposal import propose as solve
from olmix_core.reuse import released_for_caps
from olmix_core.store import Store
from olmix_core.surrogate import Surrogate
from tasks.fit import surrogate_path
from tasks.step import Payload, Result, step


@step("propose", code_version=1)
def propose(payload: Payload, store: str, *, labels: dict[str, str]) -> Result:
    """The mixture that minimises predicted mean BPB + lambda KL(q || natural) within the caps.

    `labels` name the leaves in errors.
    """
    surrogate = Surrogate.from_json(Store(store).read_json(surrogate_path(payload["fit"])))
    leaves = sorted(payload["natural"])
    natural = np.array([payload["natural"][leaf] for leaf in leaves])
    tokens = np.array([payload["tokens"][leaf] for leaf in leaves])
    target_tokens = payload["target_tokens"] or float(tokens.sum())
    highest = caps(tokens, target_tokens, payload["repetition"])
    columns, loosened = released_for_caps(payload["columns"], dict(zip(leaves, highest.tolist(), strict=True)))
    matrix = expansion(columns, leaves)
    check_feasible(matrix, highest, None, None, [labels[leaf] for leaf in leaves])
    # The law speaks of atoms: of each leaf of today the atoms that it is made of (see `carry`).
    made_of = atom_matrix(leaves, surrogate.leaves, payload["splits"])
    task_weights = np.array([payload["task_weights"][task] for task in surrogate.tasks])
    found = solve(
        surrogate,
        expansion=made_of @ matrix,
        natural=made_of @ natural,
        caps=made_of @ highest,
        kl=payload["kl"],
        task_weights=task_weights,
    )

    def by_leaf(values: NDArray[Any]) -> dict[str, float]:
        return {leaf: value.item() for leaf, value in zip(leaves, values, strict=True)}

    # An atom belongs to one leaf, so that a leaf's weight is the sum of its atoms'.
    belongs = (made_of > 0).astype(np.float64)
    return {
        "proposal": propose.key(payload),
        "weights": by_leaf(found.weights @ belongs),
        "caps": by_leaf(highest),
        "at_cap": by_leaf(found.at_cap @ belongs > 0),
        "shadow_prices": by_leaf(found.shadow_prices @ made_of),
        "loosened": loosened,
        "target_tokens": target_tokens,
        "status": found.status,
        "gap": found.gap,
        "residual": found.residual,
    }
