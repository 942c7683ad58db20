"""Pictures of a fit, as PNG: predicted against measured, the mixture, and what each domain does to each task."""

import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from olmix_core.mixture import Array
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.cross_validation import OBJECTIVE, Diagnostics

_DPI = 110
_PANELS = (3, 4)  # of predicted against measured: the objective, then the worst tasks
_WISHES = {
    "kl": "strength of the pull towards natural",
    "repetition": "epochs of a domain at most",
    "target_tokens": "tokens of the run",
}
_STEP = 0.01  # share of the tokens that is moved in the picture of effects


def predictions(diagnostics: Diagnostics) -> bytes:
    """Cross-validated predictions against measurements in BPB: the objective, and the tasks of least Spearman."""
    table = diagnostics.table()
    worst = table.drop(index=OBJECTIVE).sort_values("spearman", na_position="first", kind="stable").index
    errors = table.to_dict("index")
    rows, columns = _PANELS
    names = [OBJECTIVE, *worst[: rows * columns - 1]]
    figure = Figure(figsize=(3.2 * columns, 3.2 * rows))
    # Margins by hand: fitting them to the labels of twelve panels takes longer than drawing them.
    figure.subplots_adjust(left=0.07, right=0.98, bottom=0.07, top=0.93, wspace=0.25, hspace=0.4)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, name in zip(axes, map(str, names), strict=False):
        if name == OBJECTIVE:
            predicted, observed = diagnostics.objective_predicted, diagnostics.objective_observed
        else:
            task = diagnostics.tasks.index(name)
            predicted, observed = diagnostics.predicted[:, task], diagnostics.observed[:, task]
        _scatter(axis, predicted, observed)
        axis.set_title(f"{_short(name)}\nSpearman {errors[name]['spearman']:.3f}", fontsize=9)
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    figure.supxlabel("predicted BPB, cross-validated")
    figure.supylabel("measured BPB")
    return _png(figure)


def mixture(table: pd.DataFrame) -> bytes:
    """Natural and proposed weights of mix.csv, the heaviest on top."""
    figure = Figure(figsize=(9, 1.2 + 0.28 * len(table)), layout="tight")
    axis = figure.subplots()
    place = np.arange(len(table))
    axis.barh(place - 0.2, table["weight"], 0.4, label="proposed", color="tab:blue")
    axis.barh(place + 0.2, table["natural"], 0.4, label="natural", color="tab:gray")
    axis.set_yticks(place, [_short(name) for name in table["domain"]])
    axis.invert_yaxis()
    axis.set_ylim(len(table) - 0.4, -0.6)
    axis.set_xlabel("share of the tokens")
    axis.legend()
    return _png(figure)


def effects(surrogate: Surrogate, natural: Array) -> bytes:
    """Change of each task's BPB when 1 % of the tokens moves from the mixture `natural` [d] to one domain."""
    slopes = surrogate.gradient(natural)
    change = _STEP * (slopes - (slopes @ natural)[:, None])
    # One strong effect should not wash out all others.
    limit = float(np.quantile(np.abs(change), 0.99)) or 1.0
    figure = Figure(figsize=(3 + 0.25 * len(natural), 2 + 0.2 * len(change)), layout="tight")
    axis = figure.subplots()
    image = axis.imshow(change, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    axis.set_xticks(range(len(natural)), _labels(surrogate.leaves), rotation=90, fontsize=7)
    axis.set_yticks(range(len(change)), _labels(surrogate.tasks), fontsize=7)
    axis.set_title("BPB change for 1 % of the tokens moved from the natural mixture (blue is better)", fontsize=9)
    figure.colorbar(image, ax=axis)
    return _png(figure)


def trade_offs(table: pd.DataFrame) -> bytes:
    """Gain over natural along each wish, with its 90 % interval; what was asked for is marked."""
    curves = [(name, rows.dropna(subset=["gain"])) for name, rows in table.groupby("parameter", sort=False)]
    figure = Figure(figsize=(4.2 * max(len(curves), 1), 3.6), layout="tight")
    axes = figure.subplots(1, max(len(curves), 1), squeeze=False)[0]
    for axis, (name, rows) in zip(axes, curves, strict=False):
        axis.fill_between(rows["value"], rows["gain_low"], rows["gain_high"], color="tab:blue", alpha=0.2, linewidth=0)
        axis.plot(rows["value"], rows["gain"], color="tab:blue", marker="o", markersize=3)
        asked = rows[rows["asked"]]
        axis.plot(asked["value"], asked["gain"], color="black", marker="D", markersize=7, linestyle="none")
        axis.set_xlabel(_WISHES[str(name)])
        if name == "kl":  # 0 is among its values
            axis.set_xscale("symlog", linthresh=0.005)
        else:
            axis.set_xscale("log")
        axis.set_title(f"{len(rows)} mixtures; the one asked for is black", fontsize=8)
    axes[0].set_ylabel("gain over natural (BPB)")
    return _png(figure)


def _scatter(axis: Axes, predicted: Array, observed: Array) -> None:
    seen = np.isfinite(predicted) & np.isfinite(observed)
    axis.scatter(predicted[seen], observed[seen], s=8, alpha=0.7)
    if seen.any():
        ends = [np.min(observed[seen]), np.max(observed[seen])]
        axis.plot(ends, ends, color="black", linewidth=0.8)
    axis.tick_params(labelsize=7)
    axis.locator_params(nbins=5)


def _labels(names: Sequence[str]) -> list[str]:
    return [_short(name) for name in names]


def _short(name: object) -> str:
    # A dollar sign would start mathematics.
    text = str(name).replace("$", r"\$")
    return text if len(text) <= 40 else f"{text[:37]}..."


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # Without the version in the metadata, equal pictures are equal files.
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()
