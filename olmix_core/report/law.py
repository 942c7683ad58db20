"""Charts of the law: how well it predicts runs that it has not seen, what leaves do to tasks, and how sure it is."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.cluster.hierarchy import leaves_list, linkage

from olmix_core.mixes.published_mix import PublishedMix
from olmix_core.mixes.runs import FittedRun
from olmix_core.mixture import Array
from olmix_core.report.style import BAD, FAINT, INK, PROPOSED, short
from olmix_core.surrogate.intervals import NORMAL_90, measured_stds
from olmix_core.surrogate.task_weights import family_weights

STEP = 0.01  # share of the tokens that is moved in the chart of effects
_POINTS = 17  # of a response curve
_MOST_PANELS = 24


def predictions(mix: PublishedMix) -> Figure:
    """Draw cross-validated predictions against measurements.

    Args:
        mix: The mix.

    Returns:
        A panel for the weighted mean, then one for each family of tasks.
    """
    measured, predicted = arrays(mix.runs, mix.surrogate.tasks)
    position = {task: t for t, task in enumerate(mix.surrogate.tasks)}
    panels = {"weighted mean": (mix.task_weights, "")}
    for family, members in list(mix.families.items())[: _MOST_PANELS - 1]:
        weights = family_weights([position[task] for task in members], mix.task_weights)
        panels[family] = (weights, worst(mix, members) if len(members) > 1 else "")
    return scatter(measured, predicted, panels)


def scatter(measured: Array, predicted: Array, panels: Mapping[str, tuple[Array, str]]) -> Figure:
    """Draw predicted against measured BPB.

    Args:
        measured: [K, T] of K runs and T tasks; NaN where a run was not evaluated.
        predicted: [K, T]; NaN likewise, and for runs of earlier swarms.
        panels: {title: (weights [T] of the mean that is shown, a remark)}.

    Returns:
        A panel for each of `panels`.
    """
    across = min(4, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(2.35 * across + 0.4, 2.5 * down + 0.3), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for axis, (name, (weights, note)) in zip(axes, panels.items(), strict=False):
        used = weights > 0
        seen = ~np.isnan(measured[:, used] - predicted[:, used]).any(axis=1)
        y, x = measured[seen][:, used] @ weights[used], predicted[seen][:, used] @ weights[used]
        axis.plot(x, y, ".", color=PROPOSED, markersize=4.5, alpha=0.65, markeredgewidth=0)
        if len(y):
            ends = [min(x.min(), y.min()), max(x.max(), y.max())]
            axis.plot(ends, ends, color=INK, linewidth=0.8)
        title = f"{short(name, 24)}: rank corr. {_spearman(x, y)}"
        axis.set_title(f"{title}\nworst: {note}" if note else title, fontsize=8)
        axis.tick_params(labelsize=7)
        axis.locator_params(nbins=4)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    figure.supxlabel("predicted BPB, by a law that has not seen the run", fontsize=9)
    figure.supylabel("measured BPB", fontsize=9)
    return figure


def arrays(runs: Sequence[FittedRun], tasks: Sequence[str]) -> tuple[Array, Array]:
    """Arrange measurements and cross-validated predictions.

    Args:
        runs: K runs.
        tasks: T tasks.

    Returns:
        Measured and predicted BPB, [K, T] each; NaN where a run was not evaluated, or not predicted.
    """
    return (
        np.array([[run.measured.get(task, np.nan) for task in tasks] for run in runs]),
        np.array([[run.predicted.get(task, np.nan) for task in tasks] for run in runs]),
    )


def worst(mix: PublishedMix, members: list[str]) -> str:
    """Find the task that is predicted worst.

    Args:
        mix: The mix.
        members: The tasks to look at.

    Returns:
        The task of least rank correlation, and that, as text.
    """
    ranks = mix.diagnostics.loc[members, "spearman"]
    task = str(ranks.fillna(-2).idxmin())
    return f"{short(task, 24)} {ranks[task]:.2f}"


def _spearman(x: Array, y: Array) -> str:
    from scipy.stats import spearmanr

    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return "unknown"
    return f"{spearmanr(x, y).statistic:.2f}"


def effects(mix: PublishedMix) -> Figure:
    """Draw the change of each task when 1 % of the tokens moves from the proposed mixture to one leaf.

    Args:
        mix: The mix.

    Returns:
        A heat map; similar rows and similar columns are neighbours.
    """
    change = STEP * effect_matrix(mix)
    tasks, leaves = _clustered(change), _clustered(change.T)
    shown = change[np.ix_(tasks, leaves)]
    # One strong effect should not wash out all others.
    limit = float(np.quantile(np.abs(shown), 0.98)) or 1.0
    figure = Figure(figsize=(max(6.0, 2.6 + 0.155 * len(leaves)), 2.6 + 0.155 * len(tasks)), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(shown, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="none")
    axis.set_xticks(range(len(leaves)), [short(mix.leaves[j]) for j in leaves], rotation=90, fontsize=7)
    axis.set_yticks(range(len(tasks)), [short(mix.surrogate.tasks[t]) for t in tasks], fontsize=7)
    axis.tick_params(length=0)
    bar = figure.colorbar(image, ax=axis, extend="both", location="top", aspect=40, shrink=0.7, pad=0.02)
    bar.set_label("change of BPB (blue is better)", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    bar.ax.locator_params(nbins=5)
    axis.set_xlabel("leaf that gets 1 % more of the tokens, all others in proportion less")
    axis.set_ylabel("task")
    return figure


def effect_matrix(mix: PublishedMix) -> Array:
    """Compute slopes of the law at the proposed mixture.

    Args:
        mix: The mix.

    Returns:
        [T, m] slope of each task's BPB towards one leaf, all others in proportion less, per unit of weight moved.
    """
    q = mix.mixtures["proposed"]
    slopes = mix.surrogate.gradient(mix.columns @ q) @ mix.columns
    return np.asarray(slopes - (slopes @ q)[:, None])


def _clustered(rows: Array) -> list[int]:
    """An order of the rows in which alike ones are neighbours (average linkage, optimal leaf order)."""
    if len(rows) < 3:
        return list(range(len(rows)))
    scaled = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return [int(k) for k in leaves_list(linkage(scaled, "average", optimal_ordering=True))]


def responses(mix: PublishedMix) -> Figure:
    """Draw the weighted mean BPB against each leaf's weight; all other leaves keep their ratios.

    Args:
        mix: The mix.

    Returns:
        A panel for each leaf, with a 90 % band.
    """
    order = list(mix.table["domain"])
    across = min(8, len(order)) if len(order) > 12 else min(4, len(order))
    down = -(-len(order) // across)
    wide = 1.22 if across > 4 else 2.3
    figure = Figure(figsize=(wide * across + 0.7, 1.25 * down + 0.5) if across > 4 else (9.6, 2.0 * down + 0.5))
    high = figure.get_figheight()
    figure.subplots_adjust(
        left=0.62 / figure.get_figwidth(), right=0.995, bottom=0.55 / high, top=1 - 0.3 / high, wspace=0.16, hspace=0.62
    )
    curves = [response(mix, j) for j in range(len(order))]
    ends = np.concatenate(
        [np.concatenate([value - NORMAL_90 * std, value + NORMAL_90 * std]) for _, value, std in curves]
    )
    low, top = np.quantile(ends, [0.01, 0.97])
    room = 0.08 * (top - low)
    # Limits by hand: 64 axes that share theirs and find them by themselves take seconds.
    axes = figure.subplots(down, across, squeeze=False).ravel()
    ticks = MaxNLocator(4).tick_values(low - room, top + room)
    for j, axis in enumerate(axes):
        if j >= len(order):
            axis.set_visible(False)
            continue
        x, value, std = curves[j]
        axis.set_autoscale_on(False)
        axis.set_ylim(low - room, top + room)
        axis.set_yticks([tick for tick in ticks if low - room <= tick <= top + room])
        axis.fill_between(
            x * 100, value - NORMAL_90 * std, value + NORMAL_90 * std, color=PROPOSED, alpha=0.2, linewidth=0
        )
        axis.plot(x * 100, value, color=PROPOSED, linewidth=1.3)
        axis.axhline(0, color=FAINT, linewidth=0.6)
        axis.plot(mix.table["weight"][j] * 100, 0, "o", color=INK, markersize=3)
        if mix.table["cap"][j] <= x[-1]:
            axis.axvline(mix.table["cap"][j] * 100, color=BAD, linewidth=1, linestyle="--")
        axis.set_title(short(order[j], 20 if across > 4 else 34), fontsize=6.5 if across > 4 else 8, pad=3)
        axis.set_xlim(0, x[-1] * 100)
        axis.set_xticks([0, x[-1] * 100], ["0", f"{x[-1] * 100:.2g}"])
        axis.get_xticklabels()[-1].set_horizontalalignment("right")
        axis.tick_params(labelsize=6.5, length=2, pad=1.5, labelleft=j % across == 0)
    figure.supxlabel("weight of the leaf (% of the tokens); all others keep their ratios", fontsize=9, y=0.12 / high)
    figure.supylabel("change of the weighted mean BPB", fontsize=9, x=0.12 / figure.get_figwidth())
    return figure


def response(mix: PublishedMix, leaf: int) -> tuple[Array, Array, Array]:
    """Compute how the weighted mean BPB responds to the weight of one leaf; all others keep their ratios.

    Args:
        mix: The mix.
        leaf: Position of the leaf.

    Returns:
        [n] weights of the leaf, [n] change of the mean against the proposed mixture, and [n] its standard deviation: 0
        for surrogates without a fitted law, whose errors come from refits and would take too long.
    """
    q = mix.mixtures["proposed"]
    natural = mix.mixtures["natural"][leaf]
    most = min(1.0, max(2.2 * q[leaf], 2.2 * natural, 0.02))
    x = np.linspace(0, most, _POINTS)
    rest = q / (1 - q[leaf]) if q[leaf] < 1 else np.full(len(q), 1 / max(1, len(q) - 1))
    Q = (1 - x)[:, None] * rest
    Q[:, leaf] = x
    points, here = Q @ mix.columns.T, mix.columns @ q
    value = mix.surrogate.objective(points, mix.task_weights) - mix.surrogate.objective(here[None], mix.task_weights)
    has_law = mix.surrogate.fitted_law is not None
    std = measured_stds(mix.surrogate, points, mix.task_weights, here) if has_law else np.zeros(len(x))
    return x, np.asarray(value), std
