"""Step `plan`: one per domain set. Key: the leaves' content and tokens, the shares pinned, the strategy."""

from olmix_core.swarm import default_runs
from tasks.step import Payload, Result, step


@step("plan", code_version=1)
def plan(payload: Payload, store: str) -> Result:
    """Choose the free dimensions: the columns of the expansion, {content: share} each, and the number of runs.

    With every domain free, a column is a leaf, or the leaves whose shares are pinned together.
    """
    columns = payload["units"]
    return {"columns": columns, "runs": payload["runs"] or default_runs(len(columns))}
