"""Step `swarm`: one per plan. Key: the free dimensions, the natural mixture, and how mixtures are drawn."""

import numpy as np

from olmix_core.config.swarm import Swarm
from olmix_core.planning.swarm import sample_swarm
from olmix_core.proposal.expansion import expansion
from tasks.runtime.step import Payload, Result, step


@step("swarm", code_version=1)
def swarm(payload: Payload, store: str) -> Result:
    """Draw the mixtures, each {content: weight} without zeros."""
    natural: dict[str, float] = payload["natural"]
    leaves = sorted(natural)
    columns = payload["columns"]
    prior = np.array([sum(natural[leaf] for leaf in column) for column in columns])
    settings = Swarm.model_validate({**payload["settings"], "runs": payload["runs"], "bounds": {}})
    bounds = payload["bounds"]
    lower = np.array([bounds.get(leaf, (0.0, 1.0))[0] for leaf in leaves])
    upper = np.array([bounds.get(leaf, (0.0, 1.0))[1] for leaf in leaves])
    matrix = expansion(columns, leaves)
    mixtures = sample_swarm(payload["runs"], prior, matrix, settings, lower, upper)
    return {
        "mixtures": [{leaf: float(w) for leaf, w in zip(leaves, mixture, strict=True) if w > 0} for mixture in mixtures]
    }
