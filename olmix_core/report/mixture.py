"""Charts of the mixture itself, of what it brings to each task, and of where it comes from."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from olmix_core.mixes.published_mix import PublishedMix
from olmix_core.mixes.record import MixRecord
from olmix_core.mixture import Array
from olmix_core.report.style import BAD, FAINT, GOOD, INK, NATURAL, PALETTE, PREVIOUS, PROPOSED, short

_ROW = 0.27  # inches per leaf
_COLOURS = {"natural": NATURAL, "previous": PREVIOUS, "proposed": PROPOSED}


def by_source(table: pd.DataFrame) -> pd.DataFrame:
    """Sort leaves by source.

    Args:
        table: mix.csv.

    Returns:
        The table with columns `source` (the label up to its first colon) and `total` (its weight), the heaviest source
        first, and in it the heaviest leaf.
    """
    source = table["domain"].str.split(":", n=1).str[0]
    total = table["weight"].groupby(source).transform("sum")
    ordered = table.assign(source=source, total=total)
    return ordered.sort_values(["total", "source", "weight", "domain"], ascending=[False, True, False, True])


def mixture(mix: PublishedMix) -> Figure:
    """Draw natural, previous and proposed weights by leaf.

    Args:
        mix: The mix.

    Returns:
        Bars grouped by source, with caps and epochs.
    """
    return bars(mix.table, mix.mixtures, mix.epochs)


def bars(rows: pd.DataFrame, mixtures: Mapping[str, Array], epochs_per_weight: Array) -> Figure:
    """Draw weights of mixtures by leaf.

    Args:
        rows: Columns domain, weight, cap and at_cap of m leaves.
        mixtures: {natural, previous, proposed: [m]}, or some of them.
        epochs_per_weight: [m] epochs per unit of weight; NaN where unknown.

    Returns:
        Bars grouped by source, with caps and epochs.
    """
    table = by_source(rows)
    names = list(mixtures)
    weights = pd.DataFrame(mixtures, index=rows["domain"]).loc[table["domain"]] * 100
    several = table["source"].value_counts()
    places, labels, at = [], [], 0.0
    headings: list[tuple[float, str]] = []
    for k, row in enumerate(table.to_dict("records")):
        source = row["source"]
        if several[source] > 1 and (k == 0 or table["source"].iloc[k - 1] != source):
            at += 0.35 if k else 0.0
            headings.append((at, f"{source}  {row['total']:.1%}"))
            at += 0.9
        elif k and table["source"].iloc[k - 1] != source:
            at += 0.35
        places.append(at)
        inside = str(row["domain"]).split(":", 1)[-1] if several[source] > 1 else str(row["domain"])
        labels.append(short(inside))
        at += 1.0
    place = np.array(places)
    highest = float(weights.to_numpy().max())
    figure = Figure(figsize=(8.6, 1.0 + _ROW * at), layout="constrained")
    axis = figure.subplots()
    thick = 0.8 / len(names)
    for k, name in enumerate(reversed(names)):
        axis.barh(
            place - 0.4 + thick * (k + 0.5), weights[name], thick * 0.92, color=_COLOURS[name], label=name, zorder=2
        )
    caps = table["cap"].to_numpy(np.float64) * 100
    shown = caps <= highest * 1.06
    axis.plot(caps[shown], place[shown], "|", color=BAD, markersize=11, markeredgewidth=1.8, label="cap", zorder=3)
    epochs = epochs_per_weight[table.index] * table["weight"].to_numpy(np.float64)
    for y, value, held in zip(place, epochs, table["at_cap"], strict=True):
        if not np.isnan(value):
            text = f"{value:.2f} ep.{' cap' if held else ''}"
            axis.text(1, y, text, transform=axis.get_yaxis_transform(), va="center", ha="right", fontsize=7.5)
    for y, heading in headings:
        axis.text(0, y, heading, va="center", ha="left", fontsize=9, fontweight="bold", color=INK)
    axis.set_yticks(place, labels)
    axis.set_ylim(at - 0.3, -0.8)
    axis.set_xlim(0, highest * 1.2)
    axis.set_xlabel("share of the training tokens (%)")
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", zorder=0)
    handles, names_shown = axis.get_legend_handles_labels()
    order = [names_shown.index(name) for name in [*names, *(["cap"] if shown.any() else [])]]
    axis.legend(
        [handles[k] for k in order], [names_shown[k] for k in order], ncols=4, loc="lower left", bbox_to_anchor=(0, 1)
    )
    return figure


def lineage(mix: PublishedMix) -> Figure:
    """Draw the versions in order, each joined to the one that it builds on.

    Args:
        mix: The mix.

    Returns:
        Proxies trained so far by version; the dashed line is what full recomputation would have taken.
    """
    rows = list(mix.lineage)
    trained = np.cumsum([row.proxies for row in rows])
    full = np.cumsum([row.full_recompute if row.needs_swarm else 0 for row in rows])
    place = {row.version: k for k, row in enumerate(rows)}
    figure = Figure(figsize=(8.6, 3.4), layout="constrained")
    axis = figure.subplots()
    axis.plot(range(len(rows)), full, "--", color=FAINT, marker=".", label="full recomputation at every change")
    for k, row in enumerate(rows):
        base = None if row.builds_on is None else place.get(row.builds_on)
        if base is not None:
            axis.annotate(
                "",
                (k, trained[k]),
                (base, trained[base]),
                arrowprops={"arrowstyle": "-|>", "color": PROPOSED, "shrinkA": 5, "shrinkB": 5},
            )
    axis.plot(range(len(rows)), trained, "o", color=PROPOSED, markersize=8, label="proxies trained")
    for k, row in enumerate(rows):
        changed = ", ".join(f"{n} {kind}" for kind, n in row.change.items()) or (
            "first" if row.builds_on is None else "settings"
        )
        text = f"{row.version}\n{changed}\n+{row.proxies} proxies, {row.carried_over} carried over"
        axis.annotate(
            text, (k, trained[k]), xytext=(0, -11), textcoords="offset points", va="top", ha="center", fontsize=7.5
        )
    highest = max(float(full.max()), float(trained.max()), 1.0)
    axis.set_ylim(-0.42 * highest, 1.12 * highest)
    axis.set_xlim(-0.6, len(rows) - 0.4)
    axis.set_xticks(range(len(rows)), [row.version for row in rows])
    axis.set_xlabel("version")
    axis.set_ylabel("proxies, added up")
    axis.set_yticks([tick for tick in axis.get_yticks() if 0 <= tick <= 1.12 * highest])
    axis.grid(axis="y")
    axis.legend(loc="upper left")
    return figure


def by_task(mix: PublishedMix) -> Figure:
    """Draw the change of predicted BPB of each task from the natural to the proposed mixture.

    Args:
        mix: The mix.

    Returns:
        A bar per task.
    """
    change = pd.Series({task.name: (task.proposed / task.natural - 1) * 100 for task in mix.record.tasks})
    change = change.sort_values(ascending=False)
    place = np.arange(len(change))
    figure = Figure(figsize=(8.6, 1.0 + 0.19 * len(change)), layout="constrained")
    axis = figure.subplots()
    axis.barh(place, change, 0.72, color=[GOOD if value < 0 else BAD for value in change], zorder=2)
    axis.axvline(0, color=INK, linewidth=0.8)
    axis.set_yticks(place, [short(task) for task in change.index], fontsize=7.5)
    axis.set_ylim(-0.7, len(change) - 0.3)
    axis.set_xlabel("change of predicted BPB from natural to proposed (%); less is better")
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", zorder=0)
    return figure


def evidence(mix: PublishedMix) -> Figure:
    """Draw how many runs of which version have weight on each leaf.

    Args:
        mix: The mix.

    Returns:
        Stacked bars, one per leaf.
    """
    table = by_source(mix.table)
    counts = vintages(mix).loc[table["domain"]]
    place = np.arange(len(counts))
    figure = Figure(figsize=(8.6, 1.0 + 0.2 * len(counts)), layout="constrained")
    axis = figure.subplots()
    base = np.zeros(len(counts))
    for k, vintage in enumerate(counts.columns):
        axis.barh(
            place,
            counts[vintage],
            0.74,
            left=base,
            color=PALETTE[k % len(PALETTE)],
            hatch="" if k < len(PALETTE) else "//",
            label=str(vintage),
            zorder=2,
        )
        base += counts[vintage].to_numpy(np.float64)
    axis.set_yticks(place, [short(leaf) for leaf in counts.index], fontsize=7.5)
    axis.set_ylim(len(counts) - 0.3, -0.7)
    axis.set_xlabel("runs with weight on the leaf")
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", zorder=0)
    axis.legend(title="vintage", loc="lower left", bbox_to_anchor=(0, 1), ncols=min(6, len(counts.columns)))
    return figure


def vintages(mix: PublishedMix) -> pd.DataFrame:
    """Count the runs that have weight on each leaf.

    Args:
        mix: The mix.

    Returns:
        Leaves (rows) by the version whose swarm the runs belong to (columns, oldest first).
    """
    made_of = {
        leaf: {mix.surrogate.leaves[row] for row in np.flatnonzero(mix.columns[:, j])}
        for j, leaf in enumerate(mix.leaves)
    }
    unknown = "other swarms" if isinstance(mix.record, MixRecord) else "on record"
    versions = sorted({run.vintage or unknown for run in mix.runs})
    counts = pd.DataFrame(0, index=mix.leaves, columns=versions)
    for run in mix.runs:
        touched = run.mixture.keys()
        inside = [leaf for leaf, parts in made_of.items() if not parts.isdisjoint(touched)]
        counts.loc[inside, run.vintage or unknown] += 1
    return counts
