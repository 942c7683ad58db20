"""The chart of what is predicted between the size of the proxies and that of the target run."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from olmix_core.mixes.target_record import TargetRecord
from olmix_core.mixture import Array
from olmix_core.report.style import FAINT, INK, NATURAL, PROPOSED
from olmix_core.surrogate.intervals import Interval


def over_size(target: TargetRecord) -> Figure:
    """Draw the predicted BPB of the natural and the proposed mixture over the size of the run.

    Args:
        target: The record of the target.

    Returns:
        Lines with 90 % bands over training FLOPs; ticks where runs were measured.
    """
    figure = Figure(figsize=(8.6, 3.4), layout="constrained")
    axis = figure.subplots()
    flops = np.array([6 * point.parameters * point.tokens for point in target.over_size])
    for name, colour, style in (("natural", NATURAL, "--"), ("proposed", PROPOSED, "-")):
        _band(axis, flops, [getattr(point, name) for point in target.over_size], colour, style, name)
    sizes = [target.proxies.scale, *(size.scale for size in target.measured)]
    for flop in sorted({size.flops for size in sizes}):
        axis.axvline(flop, color=FAINT, linewidth=0.8, linestyle=":")
    axis.plot([], [], color=FAINT, linestyle=":", label="measured sizes")
    axis.axvline(target.size.scale.flops, color=INK, linewidth=0.8)
    axis.annotate(
        f"target: {target.size.scale}",
        (target.size.scale.flops, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-4, -2),
        textcoords="offset points",
        ha="right",
        va="top",
    )
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(FuncFormatter(lambda flop, _: f"{flop:.0e}".replace("e+", "e")))
    axis.set_xlabel("training FLOPs (6 x parameters x tokens)")
    axis.set_ylabel("predicted mean BPB")
    axis.grid(axis="y")
    axis.legend(loc="lower left")
    return figure


def _band(axis: Axes, flops: Array, intervals: list[Interval], colour: str, style: str, label: str) -> None:
    axis.plot(flops, [one.bpb for one in intervals], style, color=colour, label=label)
    axis.fill_between(flops, [one.low for one in intervals], [one.high for one in intervals], color=colour, alpha=0.18)
