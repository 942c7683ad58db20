"""Charts of trade-offs: the gain under other settings, and one family of tasks against another."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from olmix_core.formatting import amount
from olmix_core.mixes.published_mix import PublishedMix
from olmix_core.mixture import Array, LeafIndex
from olmix_core.report.style import FAINT, INK, NATURAL, PROPOSED, short
from olmix_core.surrogate.task_weights import family_weights

MOST_FAMILIES = 4  # whose pairs are shown
_SHARES = np.array([0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98])


def tradeoffs(table: pd.DataFrame) -> Figure:
    """Draw the predicted gain over natural under other settings.

    Args:
        table: Trade_offs.csv.

    Returns:
        A panel for each setting, with a 90 % band; the setting that was requested is marked.
    """
    parameters = list(dict.fromkeys(table["parameter"]))
    figure = Figure(figsize=(2.9 * len(parameters) + 0.4, 2.9), layout="constrained")
    axes = figure.subplots(1, len(parameters), squeeze=False, sharey=True)[0]
    for axis, parameter in zip(axes, parameters, strict=True):
        rows = table[table["parameter"] == parameter].sort_values("value")
        values = rows["value"].to_numpy(np.float64)
        axis.fill_between(values, rows["gain_low"], rows["gain_high"], color=PROPOSED, alpha=0.18, linewidth=0)
        axis.plot(values, rows["gain"], color=PROPOSED, marker=".")
        requested = rows[rows["asked"].astype(bool)]
        axis.plot(
            requested["value"],
            requested["gain"],
            "*",
            color=PROPOSED,
            markeredgecolor=INK,
            markersize=13,
            label="asked",
        )
        least = values[values > 0].min()
        if values.max() > 20 * least:
            axis.set_xscale("symlog", linthresh=least) if values.min() <= 0 else axis.set_xscale("log")
            decades = 10.0 ** np.arange(np.ceil(np.log10(least)), np.floor(np.log10(values.max())) + 1)
            axis.set_xticks([*values[values == 0], *decades])
        # Numbers as people write them: powers of ten would need mathematics, which labels must not start.
        axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: amount(x) if x >= 1000 else f"{x:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.axhline(0, color=FAINT, linewidth=0.8)
        axis.set_xlabel(_UNITS.get(parameter, parameter))
        axis.grid()
    axes[0].set_ylabel("gain over natural (BPB)")
    axes[0].legend(loc="best")
    return figure


_UNITS = {
    "kl": "lambda, weight of the KL term",
    "repetition": "k, most epochs of a leaf",
    "target_tokens": "R, tokens of the run",
}


def heaviest_families(mix: PublishedMix) -> list[str]:
    """List the families of tasks that weigh most in the objective.

    Args:
        mix: The mix.

    Returns:
        At most MOST_FAMILIES families, the heaviest first.
    """
    weight = {task: float(w) for task, w in zip(mix.surrogate.tasks, mix.task_weights, strict=True)}
    total = {family: sum(weight[task] for task in members) for family, members in mix.families.items()}
    return sorted(total, key=lambda family: (-total[family], family))[:MOST_FAMILIES]


def frontiers(mix: PublishedMix) -> dict[tuple[str, str], Array]:
    """Trace the frontiers of pairs of the heaviest families.

    Args:
        mix: The mix.

    Returns:
        {pair of families: their frontier}, see `frontier_of`.
    """
    return {
        (first, second): frontier_of(mix, first, second) for first, second in combinations(heaviest_families(mix), 2)
    }


def frontier(mix: PublishedMix, curves: Mapping[tuple[str, str], Array]) -> Figure:
    """Draw the BPB of pairs of families as the weight of the objective goes from one to the other.

    Args:
        mix: The mix.
        curves: {pair of families: [n, 2] their frontier}.

    Returns:
        A panel for each pair.
    """
    pairs = list(curves)
    across = min(3, len(pairs))
    down = -(-len(pairs) // across)
    figure = Figure(figsize=(3.1 * across + 0.4, 2.9 * down + 0.3), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for axis, (first, second) in zip(axes, pairs, strict=False):
        curve = curves[first, second]
        axis.plot(curve[:, 0], curve[:, 1], color=PROPOSED, marker=".", label="best for some weights")
        for name, marker, colour in (("natural", "s", NATURAL), ("proposed", "*", PROPOSED)):
            x, y = _families_at(mix, mix.mixtures[name], (first, second))
            size = 13 if marker == "*" else 7
            axis.plot(x, y, marker, color=colour, markersize=size, markeredgecolor=INK, linestyle="none", label=name)
        axis.set_xlabel(f"{short(first, 22)} (BPB)")
        axis.set_ylabel(f"{short(second, 22)} (BPB)")
        axis.locator_params(nbins=4)
        axis.grid()
    for axis in axes[len(pairs) :]:
        axis.set_visible(False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def frontier_of(mix: PublishedMix, first: str, second: str) -> Array:
    """Trace what two families of tasks cost each other.

    Args:
        mix: The mix.
        first: A family.
        second: Another family.

    Returns:
        [n, 2] BPB of both families at the mixtures that are best for them, from nearly all weight on `second` to
        nearly all on `first`.
    """
    position = {task: t for t, task in enumerate(mix.surrogate.tasks)}
    of_first, of_second = (
        family_weights([position[task] for task in mix.families[family]], mix.task_weights)
        for family in (first, second)
    )
    leaves, points = LeafIndex(tuple(mix.leaves)), []
    for share in _SHARES:
        weights = (share * of_first + (1 - share) * of_second).tolist()
        best = mix.propose(task_weights=dict(zip(mix.surrogate.tasks, weights, strict=True)))
        points.append(_families_at(mix, leaves.vector(best), (first, second)))
    return np.array(points)


def _families_at(mix: PublishedMix, q: Array, families: Sequence[str]) -> tuple[float, ...]:
    position = {task: t for t, task in enumerate(mix.surrogate.tasks)}
    bpb = mix.surrogate.predict((mix.columns @ q)[None])[0]
    return tuple(
        float(bpb @ family_weights([position[task] for task in mix.families[family]], mix.task_weights))
        for family in families
    )
