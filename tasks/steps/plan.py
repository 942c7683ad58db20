"""Step `plan`: one per domain set. Key: the leaves, the shares pinned, the strategy, and the mix it builds on.

Reuse keeps old ratios: E has them as one column. Strategy `auto`, which learns from every run on record, takes from
that E only the number of runs: it explores and optimises over all leaves. Simulated on the paper's updates, that
reaches with as many runs what exploring in E does not (`make bench-five-updates`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from olmix_core.data.input_file import InputFile
from olmix_core.planning.reuse import ReuseBase, ReusePlan, ReuseSources, plan_reuse
from olmix_core.proposal.expansion import Column
from olmix_core.report.markdown import Cell, table
from olmix_core.serialization import JsonRecord
from olmix_core.storage.store import Store
from tasks.runtime.artifacts import Artifacts, Done
from tasks.runtime.payload import DATA, PARAMS, cause
from tasks.runtime.step import step


@dataclass(frozen=True)
class PlanPayload(JsonRecord):
    """What a plan depends on.

    Attributes:
        units: The free dimensions if nothing were kept, {leaf: share} each.
        runs: Number of proxies; None for the default.
        base: What is taken from the mix that it builds on; None where there is nothing to keep.
    """

    units: Sequence[Column] = field(metadata=cause(DATA))
    runs: int | None
    base: ReuseBase | None = field(metadata=cause(DATA, release=PARAMS))


def _describe(done: Sequence[Done[PlanPayload, ReusePlan]], artifacts: Artifacts) -> list[str]:
    [outcome] = done
    chosen = outcome.result
    rows: list[dict[str, Cell]] = []
    for number, column in enumerate(chosen.columns):
        for leaf, share in sorted(column.items(), key=lambda item: -item[1]):
            state = "ratio kept" if leaf in chosen.kept else "released" if leaf in chosen.released else "free"
            rows.append({"dimension": number, "domain": artifacts.label(leaf), "share": f"{share:.4f}", "": state})
    summary = f"{chosen.runs} proxies over {len(chosen.columns)} free dimensions."
    if chosen.coupling is not None:
        summary += f" Coupling {chosen.coupling.before:.4g}, after release {chosen.coupling.after:.4g}."
    return [summary, "", *table(rows)]


@step(
    "plan",
    3,
    title="choose the free dimensions",
    after="overlap",
    payload=PlanPayload,
    result=ReusePlan,
    weight=0.5,
    forecast="compute",
    artifact=_describe,
    artifact_name="dimensions",  # plan-<mix> is what is shown before anything is spent
)
def plan(
    payload: PlanPayload, store: Store, *, rows: Sequence[str], files: Mapping[str, Sequence[InputFile]]
) -> ReusePlan:
    """Choose the free dimensions and the number of runs.

    Args:
        payload: What the plan depends on.
        store: The store.
        rows: Ids of the evidence of earlier versions.
        files: Input files of each leaf, of which the automatic release reads a little.

    Returns:
        The plan.
    """
    return plan_reuse(payload.units, payload.runs, payload.base, ReuseSources(store, rows, files))
