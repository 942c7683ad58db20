"""Step `swarm`: one per plan. Key: the free dimensions, the natural mixture, and how mixtures are drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from olmix_core.config.swarm import SwarmSampling
from olmix_core.mixture import LeafIndex, Mixture
from olmix_core.planning.swarm import SwarmSpace, sample_swarm
from olmix_core.proposal.expansion import Column
from olmix_core.report import swarm as charts
from olmix_core.report.markdown import picture
from olmix_core.report.style import report_style
from olmix_core.serialization import JsonRecord
from olmix_core.storage.store import Store
from tasks.runtime.artifacts import Artifacts, Done
from tasks.runtime.payload import result_of
from tasks.runtime.step import step


@dataclass(frozen=True)
class SwarmPayload(JsonRecord):
    """What the mixtures of a swarm depend on.

    Attributes:
        columns: The free dimensions, {leaf: share} each.
        natural: {leaf: natural share}.
        runs: Number of mixtures.
        settings: How mixtures are drawn.
        bounds: {leaf: (lowest, highest weight)} in any mixture.
    """

    columns: Sequence[Column] = field(metadata=result_of("plan"))
    natural: Mapping[str, float] = field(metadata=result_of("statistics"))
    runs: int = field(metadata=result_of("plan"))
    settings: SwarmSampling
    bounds: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class SwarmResult(JsonRecord):
    """The mixtures, {leaf: weight} each, without zeros."""

    mixtures: Sequence[Mixture]


def _describe(done: Sequence[Done[SwarmPayload, SwarmResult]], artifacts: Artifacts) -> list[str]:
    [outcome] = done
    natural = outcome.payload.natural
    leaves = LeafIndex(tuple(sorted(natural, key=lambda leaf: -natural[leaf])))
    weights = np.array([leaves.vector(mixture) for mixture in outcome.result.mixtures])
    labels = [artifacts.label(leaf) for leaf in leaves]
    with report_style():
        figure = charts.ranges(weights, labels, {"natural": leaves.vector(natural)})
    counts = (weights > 0).sum(axis=0)
    rarest = labels[int(np.argmin(counts))]
    summary = f"{len(weights)} mixtures; {rarest} has weight in the fewest of them, {counts.min()}."
    return [summary, "", picture(figure, "Spread of each leaf's weight over the mixtures")]


@step(
    "swarm",
    1,
    title="draw mixtures",
    after="plan",
    payload=SwarmPayload,
    result=SwarmResult,
    weight=0.5,
    forecast="compute",
    artifact=_describe,
)
def swarm(payload: SwarmPayload, _store: Store) -> SwarmResult:
    """Draw the mixtures that proxies are trained on.

    Args:
        payload: How they are drawn.

    Returns:
        The mixtures.
    """
    leaves = LeafIndex.sorted(payload.natural)
    space = SwarmSpace.of_columns(payload.columns, leaves, payload.natural, payload.bounds)
    return SwarmResult([leaves.mixture(mixture) for mixture in sample_swarm(payload.runs, space, payload.settings)])
