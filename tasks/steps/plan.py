"""Step `plan`: one per domain set. Key: the leaves, the shares pinned, the strategy, and the mix it builds on.

Reuse keeps old ratios: E has them as one column. Strategy `auto`, which learns from every run on record, takes from
that E only how many runs are needed: it explores and optimises over all leaves. Simulated on the paper's updates, that
reaches with as many runs what exploring in E does not (`make bench-five-updates`).
"""

from collections.abc import Sequence
from typing import Any

from olmix_core.data.input_file import InputFile
from olmix_core.planning.reuse import ReuseBase, ReuseSources, plan_reuse
from olmix_core.storage.store import Store
from tasks.runtime.step import Payload, Result, step


@step("plan", code_version=2)
def plan(payload: Payload, store: str, *, rows: Sequence[str], files: dict[str, list[dict[str, Any]]]) -> Result:
    """Choose the free dimensions, {content: share} each, and the number of runs.

    Where ratios could be kept but are not, `reusable` are the columns that would keep them. `rows` are the ids of the
    evidence, and `files` the input files of each leaf, of which the automatic release reads a little.
    """
    base = None if payload["base"] is None else ReuseBase.from_json(payload["base"])
    input_files = {leaf: [InputFile(**file) for file in of_leaf] for leaf, of_leaf in files.items()}
    sources = ReuseSources(Store(store), rows, input_files)
    return plan_reuse(payload["units"], payload["runs"], base, sources).to_json()
