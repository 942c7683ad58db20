"""Step `swarm`: one per plan. Key: the free dimensions, the natural mixture, and how mixtures are drawn."""

from olmix_core.config.swarm import Swarm
from olmix_core.mixture import LeafIndex
from olmix_core.planning.swarm import SwarmSpace, sample_swarm
from tasks.runtime.step import Payload, Result, step


@step("swarm", code_version=1)
def swarm(payload: Payload, store: str) -> Result:
    """Draw the mixtures, each {content: weight} without zeros."""
    natural: dict[str, float] = payload["natural"]
    leaves = LeafIndex.sorted(natural)
    settings = Swarm.model_validate({**payload["settings"], "runs": payload["runs"], "bounds": {}})
    space = SwarmSpace.of_columns(payload["columns"], leaves, natural, payload["bounds"])
    return {"mixtures": [leaves.mixture(mixture) for mixture in sample_swarm(payload["runs"], space, settings)]}
