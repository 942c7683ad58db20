"""Charts of the swarm: where its runs lie, how each leaf's weight spreads over them, and how the proxies learnt."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from olmix_core.mixes.published_mix import PublishedMix
from olmix_core.mixes.runs import FittedRun
from olmix_core.mixture import Array
from olmix_core.report.mixture import by_source
from olmix_core.report.style import FAINT, INK, NATURAL, PREVIOUS, PROPOSED, short

_MARKERS = {"natural": ("s", NATURAL), "previous": ("D", PREVIOUS), "proposed": ("*", PROPOSED)}
_MOST_CURVES = 96


def projection(mix: PublishedMix) -> Figure:
    """Draw the runs in the plane in which they scatter most, coloured by their weighted mean BPB.

    The axes are principal components of the square roots of the weights, which keep Hellinger distances.

    Args:
        mix: The mix.

    Returns:
        A scatter plot with natural, previous and proposed mixtures.
    """
    runs = np.sqrt(mixtures(mix.runs, mix.surrogate.leaves))
    centre = runs.mean(axis=0)
    _, spread, axes = np.linalg.svd(runs - centre, full_matrices=False)
    axes = axes[:2]
    share = (spread**2 / max(float(np.sum(spread**2)), 1e-300))[:2]
    # Which way an axis points is arbitrary: the largest loading is positive.
    axes = axes * np.sign(axes[np.arange(len(axes)), np.argmax(np.abs(axes), axis=1)])[:, None]
    if len(axes) < 2:
        axes, share = np.vstack([axes, np.zeros_like(axes)]), np.append(share, 0.0)
    at = (runs - centre) @ axes.T
    colour = measured_mean(mix)
    figure = Figure(figsize=(8.6, 4.6), layout="constrained")
    axis = figure.subplots()
    seen = ~np.isnan(colour)
    axis.scatter(at[~seen, 0], at[~seen, 1], s=22, facecolors="none", edgecolors=FAINT, linewidths=0.8)
    dots = axis.scatter(at[seen, 0], at[seen, 1], c=colour[seen], s=26, edgecolors=FAINT, linewidths=0.4)
    for name, mixture in mix.mixtures.items():
        x, y = (np.sqrt(mix.columns @ mixture) - centre) @ axes.T
        marker, fill = _MARKERS[name]
        size = 15 if marker == "*" else 8
        axis.plot(x, y, marker, color=fill, markersize=size, markeredgecolor=INK, markeredgewidth=0.9, label=name)
    axis.set_xlabel(f"component 1 ({share[0]:.0%} of the scatter of the square roots of the weights)")
    axis.set_ylabel(f"component 2 ({share[1]:.0%})")
    bar = figure.colorbar(dots, ax=axis, aspect=30)
    bar.set_label("measured weighted mean BPB (less is better)")
    axis.legend(loc="best")
    axis.grid()
    return figure


def spread(mix: PublishedMix) -> Figure:
    """Draw how each leaf's weight spreads over the runs.

    Args:
        mix: The mix.

    Returns:
        Range, middle 80 % and median of each leaf; natural and proposed weights beside them.
    """
    order = by_source(mix.table).index
    marks = {name: mix.mixtures[name][order] for name in ("natural", "proposed")}
    return ranges(leaf_weights(mix)[:, order], [mix.leaves[j] for j in order], marks)


def ranges(weights: Array, leaves: Sequence[str], marks: Mapping[str, Array]) -> Figure:
    """Draw how weights spread over mixtures.

    Args:
        weights: [K, m] of K mixtures and m leaves.
        leaves: The m labels.
        marks: {natural, proposed: [m]}, or some of them.

    Returns:
        Range, middle 80 % and median of each leaf, and the marks.
    """
    weights = weights * 100
    place = np.arange(len(leaves))
    low, tenth, middle, ninetieth, high = np.quantile(weights, [0, 0.1, 0.5, 0.9, 1], axis=0)
    figure = Figure(figsize=(8.6, 1.0 + 0.2 * len(leaves)), layout="constrained")
    axis = figure.subplots()
    axis.hlines(place, low, high, color=FAINT, linewidth=1, label="all runs", zorder=2)
    axis.hlines(place, tenth, ninetieth, color=FAINT, linewidth=4.5, label="middle 80 %", zorder=2)
    axis.plot(middle, place, "|", color=INK, markersize=7, label="median", zorder=3)
    for name, mixture in marks.items():
        marker, fill = _MARKERS[name]
        axis.plot(
            mixture * 100, place, marker if marker != "*" else "o", color=fill, markersize=4.5, label=name, zorder=4
        )
    axis.set_xscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0)), np.square))
    top = max(float(high.max()), *(float(mixture.max()) * 100 for mixture in marks.values()))
    axis.set_xlim(0, top * 1.03)
    ticks = [tick for tick in (0, 0.1, 1, 5, 10, 20, 40, 60, 80, 100) if tick <= top * 1.03]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_yticks(place, [short(leaf) for leaf in leaves], fontsize=7.5)
    axis.set_ylim(len(leaves) - 0.3, -0.7)
    axis.set_xlabel("weight in the runs (% of the tokens, square-root scale)")
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", zorder=0)
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=5)
    return figure


def losses(mix: PublishedMix) -> Figure:
    """Draw training loss of the proxies, coloured by their weighted mean BPB.

    Args:
        mix: The mix.

    Returns:
        A curve for each proxy, or for an even choice of them where there are many.
    """
    colour = measured_mean(mix)
    curves = [(run, bpb) for run, bpb in zip(mix.runs, colour, strict=True) if run.losses and not np.isnan(bpb)]
    curves.sort(key=lambda curve: curve[1])
    if len(curves) > _MOST_CURVES:
        curves = [curves[k] for k in np.linspace(0, len(curves) - 1, _MOST_CURVES).round().astype(int)]
    figure = Figure(figsize=(8.6, 3.6), layout="constrained")
    axis = figure.subplots()
    lines = LineCollection([list(run.losses) for run, _ in curves], linewidths=0.9, alpha=0.85)
    lines.set_array(np.array([bpb for _, bpb in curves]))
    axis.add_collection(lines)
    axis.autoscale_view()
    last = np.array([run.losses[-1][1] for run, _ in curves])
    first = np.array([loss for run, _ in curves for step, loss in run.losses if step > 0.02 * run.losses[-1][0]])
    axis.set_ylim(last.min() - 0.1 * np.ptp(first), float(np.quantile(first, 0.995)))
    axis.set_xlabel("training step")
    axis.set_ylabel("training loss (nats per token)")
    bar = figure.colorbar(lines, ax=axis, aspect=30)
    bar.set_label("measured weighted mean BPB")
    axis.grid()
    return figure


def mixtures(runs: Sequence[FittedRun], columns: Sequence[str]) -> Array:
    """Arrange the mixtures of runs.

    Args:
        runs: K runs.
        columns: M columns of the law.

    Returns:
        [K, M] weights.
    """
    place = {column: j for j, column in enumerate(columns)}
    weights = np.zeros((len(runs), len(columns)))
    for k, run in enumerate(runs):
        for column, weight in run.mixture.items():
            weights[k, place[column]] = weight
    return weights


def leaf_weights(mix: PublishedMix) -> Array:
    """Compute the weight of each leaf of today in each run.

    Args:
        mix: The mix.

    Returns:
        [K, m] weights of the columns that the leaf is made of.
    """
    over: Array = mixtures(mix.runs, mix.surrogate.leaves) @ (mix.columns > 0)
    return over


def measured_mean(mix: PublishedMix) -> Array:
    """Compute the measured weighted mean BPB of each run.

    Args:
        mix: The mix.

    Returns:
        [K]; NaN where a run lacks a task.
    """
    return np.array([_mean(run.measured, mix.surrogate.tasks, mix.task_weights) for run in mix.runs])


def _mean(measured: Mapping[str, float], tasks: Sequence[str], weights: Array) -> float:
    values = np.array([measured.get(task, np.nan) for task in tasks])
    used = weights > 0
    return float(values[used] @ weights[used])
