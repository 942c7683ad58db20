"""Step `choose`: one per round of an adaptive swarm. Key: the law so far, the request, and the number of mixtures."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from olmix_core.mixture import Mixture
from olmix_core.planning.sequential import RoundSettings, propose_round
from olmix_core.proposal.request import ProposalRequest
from olmix_core.report.markdown import Cell, table
from olmix_core.serialization import JsonRecord, key
from olmix_core.storage.layout import SURROGATE_FILE, fit_path
from olmix_core.storage.store import Store
from olmix_core.surrogate.fit import load_law
from tasks.runtime.artifacts import Artifacts, Done
from tasks.runtime.payload import result_of
from tasks.runtime.step import step
from tasks.steps.propose import REQUEST_SOURCES
from tasks.steps.swarm import SwarmPayload


@dataclass(frozen=True)
class NextRoundPayload(JsonRecord):
    """What the mixtures of a later round depend on.

    Attributes:
        fit: Key of the law so far.
        request: The proposal request.
        swarm: How the first mixtures were drawn.
        round: Number of the round; that of the first mixtures is 0.
        count: Number of mixtures.
        tolerance: Gain in BPB below which the swarm ends.
    """

    fit: str = field(metadata=result_of("fit"))
    request: ProposalRequest = field(metadata=key("wish") | REQUEST_SOURCES)
    swarm: SwarmPayload = field(metadata=result_of("swarm"))
    round: int
    count: int = field(metadata=result_of("plan"))
    tolerance: float


@dataclass(frozen=True)
class NextRoundResult(JsonRecord):
    """The mixtures of a round, none where the swarm ends; and the gain that is still expected, in BPB."""

    mixtures: Sequence[Mixture]
    remaining_gain: float


def _describe(done: Sequence[Done[NextRoundPayload, NextRoundResult]], artifacts: Artifacts) -> list[str]:
    [outcome] = done
    lines = [f"Before {outcome.where['label']} about {outcome.result.remaining_gain:.4f} BPB are still to be gained."]
    if not outcome.result.mixtures:
        return [*lines, f"That is below the tolerance of {outcome.payload.tolerance:g}: the swarm ends here."]
    rows: list[dict[str, Cell]] = []
    for number, mixture in enumerate(outcome.result.mixtures):
        heaviest = sorted(mixture.items(), key=lambda item: -item[1])[:5]
        domains = ", ".join(f"{artifacts.label(leaf)} {weight:.0%}" for leaf, weight in heaviest)
        rows.append({"mixture": number, "heaviest domains": domains})
    return [*lines, "Most informative mixtures:", "", *table(rows)]


@step(
    "choose",
    1,
    title="choose mixtures for the next round",
    after="fit",
    optional=True,
    payload=NextRoundPayload,
    result=NextRoundResult,
    forecast="compute",
    artifact=_describe,
)
def next_round(payload: NextRoundPayload, store: Store, *, label: str) -> NextRoundResult:  # noqa: ARG001 - shown with the task run
    """Choose the mixtures of the next round.

    Args:
        payload: The law so far, and how mixtures are chosen.
        store: The store.
        label: Name of the round, to show.

    Returns:
        The mixtures; none where less than the tolerance is still to be gained.
    """
    surrogate = load_law(store.read_json(fit_path(payload.fit, SURROGATE_FILE)))
    first = payload.swarm.settings
    settings = RoundSettings(
        sampling=replace(first, seed=first.seed + 1000 * payload.round),
        bounds=payload.swarm.bounds,
        count=payload.count,
        tolerance=payload.tolerance,
    )
    chosen = propose_round(surrogate, payload.request, settings)
    return NextRoundResult(chosen.mixtures, chosen.remaining_gain)
