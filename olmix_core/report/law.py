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
    """Cross-validated predictions against measurements: the weighted mean, then a panel for each family."""
    measured, predicted = arrays(mix.runs, mix.surrogate.tasks)
    position = {task: t for t, task in enumerate(mix.surrogate.tasks)}
    panels = {"weighted mean": (mix.task_weights, "")}
    for family, members in list(mix.families.items())[: _MOST_PANELS - 1]:
        weights = family_weights([position[task] for task in members], mix.task_weights)
        panels[family] = (weights, worst(mix, members) if len(members) > 1 else "")
    return scatter(measured, predicted, panels)


def scatter(measured: Array, predicted: Array, panels: Mapping[str, tuple[Array, str]]) -> Figure:
    """Predicted against measured BPB [K, T]; a panel {title: (weights [T] of the mean that it shows, a remark)}."""
    across = min(4, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(2.35 * across + 0.4, 2.5 * down + 0.3), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for axis, (name, (weights, note)) in zip(axes, panels.items(), strict=False):
        used = weights > 0
        seen = ~np.isnan(measured[:, used]).any(axis=1)
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
    """Measured and cross-validated BPB [K, T]; NaN where a run was not evaluated."""
    return (
        np.array([[run.measured.get(task, np.nan) for task in tasks] for run in runs]),
        np.array([[run.predicted.get(task, np.nan) for task in tasks] for run in runs]),
    )


def worst(mix: PublishedMix, members: list[str]) -> str:
    """The task of least rank correlation, and that."""
    ranks = mix.diagnostics.loc[members, "spearman"]
    task = str(ranks.fillna(-2).idxmin())
    return f"{short(task, 24)} {ranks[task]:.2f}"


def _spearman(x: Array, y: Array) -> str:
    from scipy.stats import spearmanr

    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return "unknown"
    return f"{spearmanr(x, y).statistic:.2f}"


def effects(mix: PublishedMix) -> Figure:
    """Change of each task's BPB when 1 % of the tokens moves from the proposed mixture to one leaf; alike rows and
    columns lie side by side.
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
    """[T, leaves] slope of each task's BPB towards one leaf from the proposed mixture, per unit of weight moved."""
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
    """Change of the weighted mean BPB as one leaf's weight moves, all others in their ratios; with its 90 % band."""
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
    """Weights x of a leaf, the change of the weighted mean BPB there against the proposed mixture, and its std.

    The std is 0 for families whose errors come from refits, of which a thousand points would take too long.
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
