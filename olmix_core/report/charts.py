"""Registry of charts: title, text alternative and drawing function."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from olmix_core.errors import OlmixError
from olmix_core.mixes.published_mix import PublishedMix
from olmix_core.mixes.record import FitRecord
from olmix_core.report import law, mixture, swarm, tradeoffs
from olmix_core.report.style import report_style
from olmix_core.report.target import over_size


@dataclass(frozen=True)
class Chart:
    """A chart of the report.

    Attributes:
        title: Its title.
        caption: How to read it.
        alternative: Text alternative of the chart.
        draw: Draws it.
    """

    title: str
    caption: str
    alternative: str
    draw: Callable[[], Figure]

    def figure(self) -> Figure:
        """Draw the chart in the style of the report.

        Returns:
            A matplotlib figure.
        """
        with report_style():
            return self.draw()


def charts(mix: PublishedMix) -> dict[str, Chart]:
    """List the charts that a mix has data for.

    Args:
        mix: The mix.

    Returns:
        {name: chart}, in the order of the report.
    """
    makers: dict[str, Callable[[PublishedMix], Chart | None]] = {
        "mixture": _mixture,
        "tasks": _tasks,
        "target": _target,
        "lineage": _lineage,
        "predictions": _predictions,
        "effects": _effects,
        "responses": _responses,
        "swarm": _swarm,
        "spread": _spread,
        "losses": _losses,
        "tradeoffs": _tradeoffs,
        "frontier": _frontier,
        "evidence": _evidence,
    }
    return {name: chart for name, make in makers.items() if (chart := make(mix)) is not None}


def plot(mix: PublishedMix, chart: str) -> Figure:
    """Draw one chart of the report.

    Args:
        mix: A published mix.
        chart: The name of a chart, a key of `charts(mix)`.

    Returns:
        A matplotlib figure.

    Raises:
        OlmixError: If `mix` has no such chart; the message names the charts it has.
    """
    available = charts(mix)
    if chart not in available:
        raise OlmixError(f"plot: found {chart!r}; expected one of: {', '.join(available)}")
    return available[chart].figure()


def _mixture(mix: PublishedMix) -> Chart:
    heaviest = mix.table.head(5)
    heaviest_leaves = ", ".join(f"{row['domain']} {row['weight']:.1%}" for row in heaviest.to_dict("records"))
    held = [str(leaf) for leaf in mix.table.loc[mix.table["at_cap"].astype(bool), "domain"]]
    at_cap = f" At their cap: {', '.join(held)}." if held else " No leaf is at its cap."
    return Chart(
        "Natural, previous and proposed weights" if "previous" in mix.mixtures else "Natural and proposed weights",
        "Grouped by source, the heaviest first. The red tick is the cap; epochs are those of the proposed mixture.",
        f"Bars of the weights of {len(mix.table)} leaves. The heaviest: {heaviest_leaves}.{at_cap}",
        lambda: mixture.mixture(mix),
    )


def _tasks(mix: PublishedMix) -> Chart:
    changes = {task.name: task.proposed / task.natural - 1 for task in mix.record.tasks}
    best, least = min(changes, key=lambda name: changes[name]), max(changes, key=lambda name: changes[name])
    return Chart(
        "What each task gains",
        "Predicted BPB of the proposed mixture against the natural one.",
        f"A bar per task. Best: {best}, {changes[best]:+.1%}; least: {least}, {changes[least]:+.1%}.",
        lambda: mixture.by_task(mix),
    )


def _target(mix: PublishedMix) -> Chart | None:
    target = None if isinstance(mix.record, FitRecord) else mix.record.target
    if target is None:
        return None
    gain = target.gain["over_natural"]
    return Chart(
        "From the size of the proxies to that of the target run",
        "Predicted mean BPB with 90 % bands. The further from the sizes measured, the wider they are.",
        f"Two lines that fall with size. {target.words}, the gain over natural is {gain.bpb:.4f} BPB"
        f" ({gain.low:.4f} to {gain.high:.4f}).",
        lambda: over_size(target),
    )


def _lineage(mix: PublishedMix) -> Chart | None:
    if len(mix.lineage) < 2:
        return None
    spent = sum(row.proxies for row in mix.lineage)
    return Chart(
        "Lineage and what it cost",
        "An arrow leads from the version that was built on. The dashed line is what training every proxy anew at each"
        " change of the domain set would have taken.",
        f"{len(mix.lineage)} versions took {spent} proxies in all. "
        + " ".join(f"{row.version}: {row.proxies} trained, {row.carried_over} reused." for row in mix.lineage),
        lambda: mixture.lineage(mix),
    )


def _predictions(mix: PublishedMix) -> Chart:
    objective = mix.diagnostics.loc["objective"]
    tasks = mix.diagnostics.drop(index="objective")
    ranked = tasks["spearman"].sort_values(na_position="first").head(3)
    named = ", ".join(f"{task} ({value:.2f})" for task, value in ranked.items())
    return Chart(
        "Predicted against measured",
        "Every point is a run of the newest swarm, predicted by a law that was fitted without it; on the line the two"
        " agree. A panel for the weighted mean, and one for each family of tasks.",
        f"Rank correlation of the mean over tasks: {objective['spearman']:.3f}, mean error {objective['mae']:.4f} BPB,"
        f" over {objective['runs']:.0f} runs. Tasks that are predicted worst: {named}.",
        lambda: law.predictions(mix),
    )


def _effects(mix: PublishedMix) -> Chart:
    change = law.STEP * law.effect_matrix(mix)
    mean = mix.task_weights @ change
    best, least = int(np.argmin(mean)), int(np.argmax(mean))
    t, j = np.unravel_index(int(np.argmin(change)), change.shape)
    return Chart(
        "What leaves do to tasks",
        "Change of BPB when 1 % of the tokens moves from the proposed mixture to a leaf. Tasks that react alike, and"
        " leaves that act alike, are neighbours.",
        f"On average over tasks {mix.leaves[best]} would help most ({mean[best]:+.4f} BPB) and {mix.leaves[least]}"
        f" least ({mean[least]:+.4f}). The strongest single effect: {mix.leaves[j]} on {mix.surrogate.tasks[t]}"
        f" ({change[t, j]:+.4f}).",
        lambda: law.effects(mix),
    )


def _responses(mix: PublishedMix) -> Chart:
    return Chart(
        "Response to each leaf",
        "The weighted mean BPB as one leaf gets more or less; the band is its 90 % interval against the proposed"
        " mixture, the dot what is proposed, the dashed line the cap.",
        f"A small curve for each of {len(mix.leaves)} leaves, of the change of the mean BPB with its weight.",
        lambda: law.responses(mix),
    )


def _swarm(mix: PublishedMix) -> Chart:
    bpb = swarm.measured_mean(mix)
    seen = bpb[~np.isnan(bpb)]
    extent = f" Their mean BPB goes from {seen.min():.4f} to {seen.max():.4f}." if len(seen) else ""
    return Chart(
        "Where the runs lie",
        "Each point is a run of the evidence, in the plane in which the runs scatter most. A proposal far from all runs"
        " is a guess.",
        f"{len(mix.runs)} runs.{extent}",
        lambda: swarm.projection(mix),
    )


def _spread(mix: PublishedMix) -> Chart:
    weights = swarm.leaf_weights(mix)
    beyond = [leaf for j, leaf in enumerate(mix.leaves) if mix.mixtures["proposed"][j] > weights[:, j].max()]
    summary = f"Proposed beyond every run: {', '.join(beyond)}." if beyond else "No leaf is proposed beyond every run."
    return Chart(
        "Spread of each leaf's weight over the runs",
        "The thin line goes from the least to the greatest weight in any run, the thick one over the middle 80 %.",
        f"A line for each of {len(mix.leaves)} leaves. {summary}",
        lambda: swarm.spread(mix),
    )


def _losses(mix: PublishedMix) -> Chart | None:
    if sum(len(run.losses) > 1 for run in mix.runs) < 2 or np.isnan(swarm.measured_mean(mix)).all():
        return None
    last = [run.losses[-1][1] for run in mix.runs if run.losses]
    return Chart(
        "Loss curves of the proxies",
        "Training loss; every proxy trains on another mixture, so that curves say whether training went well, and not"
        " which mixture is better.",
        f"{len(last)} curves that end between {min(last):.3f} and {max(last):.3f} nats per token.",
        lambda: swarm.losses(mix),
    )


def _tradeoffs(mix: PublishedMix) -> Chart | None:
    if mix.trade_offs is None or not mix.trade_offs["gain"].notna().any():
        return None
    table = mix.trade_offs[mix.trade_offs["gain"].notna()]
    sentences = []
    for parameter in dict.fromkeys(table["parameter"]):
        rows = table[table["parameter"] == parameter].sort_values("value")
        first, last = rows.iloc[0], rows.iloc[-1]
        sentences.append(
            f"{parameter} from {first['value']:g} to {last['value']:g}: gain {first['gain']:.4f} to {last['gain']:.4f}."
        )
    return Chart(
        "What the gain depends on",
        "Predicted gain over natural under other settings of the proposal, with its 90 % interval; the star is what"
        " was asked for.",
        " ".join(sentences),
        lambda: tradeoffs.tradeoffs(table),
    )


def _frontier(mix: PublishedMix) -> Chart | None:
    if len(mix.families) < 2 or not mix.surrogate.is_convex or not mix.can_propose:
        return None
    curves = tradeoffs.frontiers(mix)
    sentences = [
        f"From all weight on {second} to all on {first}, {first} goes from {curve[0, 0]:.4f} to {curve[-1, 0]:.4f} BPB"
        f" and {second} from {curve[0, 1]:.4f} to {curve[-1, 1]:.4f}."
        for (first, second), curve in curves.items()
    ]
    return Chart(
        "What one family of tasks costs another",
        "BPB of two families at the mixtures that are best as the weight of the objective goes from the one to the"
        " other, by the same law, caps and pull towards natural. Below and left is better.",
        " ".join(sentences),
        lambda: tradeoffs.frontier(mix, curves),
    )


def _evidence(mix: PublishedMix) -> Chart:
    counts = mixture.vintages(mix)
    total = counts.sum(axis=1)
    least = str(total.idxmin())
    return Chart(
        "Which runs inform which leaf",
        "Runs with weight on the leaf, by the version whose swarm they belong to.",
        f"{len(mix.runs)} runs of {len(counts.columns)} vintages. The least is known of {least}: {total[least]} runs.",
        lambda: mixture.evidence(mix),
    )
