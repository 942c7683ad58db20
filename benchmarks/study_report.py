"""What a study found: the law's predictions beside the larger model's measurements.

Predictions are for proxies and measurements of a larger model, whose BPB is lower on the whole: so gains are compared
as shares of the natural mixture's BPB too. Intervals are 90 %: those of predictions are the law's; those of
measurements are of the mean of paired differences between seeds (Student's t) and say nothing of other tasks or text.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from olmix_core.mixes.published_mix import PublishedMix
from olmix_core.mixes.record import as_mix

Figures = dict[str, Any]
Gain = Mapping[str, Any]
SCALE = 100.0  # shares in %
BEGIN, END = "<!-- results -->", "<!-- /results -->"


def figures(
    mix: PublishedMix, mixtures: Mapping[str, Mapping[str, float]], measured: Sequence[Mapping[str, Any]]
) -> Figures:
    """Everything that the study found, as plain JSON.

    measured: of `study.train_and_measure`. Gains are over natural, positive where better.
    """
    weights = dict(zip(mix.surrogate.tasks, mix.task_weights.tolist(), strict=True))
    groups = {"objective": weights}
    for family, tasks in mix.families.items():
        share = sum(weights[task] for task in tasks)
        groups[family] = {task: weights[task] / share for task in tasks}
    beyond = sorted({task.partition(":")[0] for one in measured for task in one["bpb"] if ":" in task})
    for kind in beyond:  # measured only
        tasks = [task for task in measured[0]["bpb"] if task.startswith(f"{kind}:")]
        groups[kind] = {task: 1 / len(tasks) for task in tasks}
    others = [name for name in mixtures if name != "natural"]
    return {
        "mix": {
            "name": mix.record.name,
            "version": mix.version,
            "target_tokens": mix.record.target_tokens,
        },
        "law": mix.surrogate.family,
        "proxies": as_mix(mix.record, mix.title).proxies.to_json(),
        "domains": mix.table[["domain", "tokens", "natural", "weight", "epochs", "cap", "at_cap"]].to_dict("records"),
        "tasks": [
            {
                "name": task,
                "family": next(family for family, members in mix.families.items() if task in members),
                "weight": weights[task],
                "heldout_spearman": float(mix.diagnostics["spearman"].astype(float).to_dict()[task]),
                **{
                    f"gain_{name}": {
                        "predicted": _predicted(mix, mixtures, name, {task: 1.0}),
                        "measured": measured_gain(measured, name, {task: 1.0}),
                    }
                    for name in others
                },
            }
            for task in mix.surrogate.tasks
        ],
        "groups": {
            group: {
                name: {
                    "predicted": None if group in beyond else _predicted(mix, mixtures, name, shares),
                    "measured": measured_gain(measured, name, shares),
                }
                for name in others
            }
            for group, shares in groups.items()
        },
        "beyond": {
            task: measured_gain(measured, "proposed", {task: 1.0}) for task in measured[0]["bpb"] if ":" in task
        },
        "larger": [dict(one) for one in measured],
    }


def _predicted(
    mix: PublishedMix, mixtures: Mapping[str, Mapping[str, float]], name: str, shares: Mapping[str, float]
) -> dict[str, Any]:
    """The law's gain of a mixture over natural on the weighted mean of tasks."""
    said = mix.predict(mixtures[name], task_weights=shares)
    gain = said.gain["natural"]
    natural = said.objective.bpb + gain.bpb
    return {"natural": natural, **gain.to_json(), "share": gain.bpb / natural}


def measured_gain(measured: Sequence[Mapping[str, Any]], name: str, shares: Mapping[str, float]) -> dict[str, Any]:
    """Return the gain of the larger model over the natural mixture, mean over seeds, on the weighted mean of tasks.

    Seeds are paired. The bounds of the 90 % interval are None with one seed.
    """
    mean = {
        (one["mixture"], one["seed"]): sum(share * one["bpb"][task] for task, share in shares.items())
        for one in measured
    }
    seeds = sorted({seed for mixture, seed in mean if mixture == name})
    gains = np.array([mean["natural", seed] - mean[name, seed] for seed in seeds])
    natural = float(np.mean([mean["natural", seed] for seed in seeds]))
    gain, low, high = float(gains.mean()), None, None
    if len(seeds) > 1:
        half = float(stats.t.ppf(0.95, len(seeds) - 1) * gains.std(ddof=1) / len(seeds) ** 0.5)
        low, high = gain - half, gain + half
    return {"natural": natural, "bpb": gain, "low": low, "high": high, "share": gain / natural}


def _with_interval(gain: Gain | None) -> str:
    if gain is None:
        return ""
    interval = "" if gain["low"] is None else f" ({gain['low']:.4f} to {gain['high']:.4f})"
    return f"{gain['bpb']:.4f}{interval}, {gain['share']:.1%}"


def markdown(found: Figures) -> str:
    """What was found, as the part of the study's page between its marks."""
    whole = found["groups"]["objective"]["proposed"]
    pairs = np.array(
        [[task["gain_proposed"][kind]["share"] for kind in ("predicted", "measured")] for task in found["tasks"]]
    )
    agree = int((np.sign(pairs[:, 0]) == np.sign(pairs[:, 1])).sum())
    rank = stats.spearmanr(*pairs.T).statistic
    larger = found["larger"]
    seeds = len({one["seed"] for one in larger})
    hours = [sum(one[kind] for one in larger) / 3600 for kind in ("seconds", "evaluation_seconds")]
    proxies = found["proxies"]
    parts = [
        f"**Gain over natural in BPB: predicted {_with_interval(whole['predicted'])}; measured with the larger model,"
        f" {seeds} seed(s), {_with_interval(whole['measured'])}.** {_verdict(whole['predicted'], whole['measured'])}"
        f" Over the {len(pairs)} tasks the Spearman correlation of predicted and measured gain is {rank:.2f}; {agree}"
        " have the same sign.",
        "![natural and proposed weights](study-mixture.svg)",
        _table(
            ("domain", "tokens", "natural", "proposed", "epochs"),
            [
                (row["domain"], f"{row['tokens']:,}", *(f"{row[key]:.3f}" for key in ("natural", "weight", "epochs")))
                for row in found["domains"]
            ],
        ),
        "Gain over natural in BPB, with 90 % intervals, and as a share of natural's BPB; `heldout` is the held-out text"
        " of all domains, `olmes` the mean of all 52 tasks of the paper, which are not part of the objective:",
        _table(
            ("mean over", "mixture", "natural BPB", "predicted gain", "measured gain"),
            [
                (
                    group,
                    name,
                    f"{gains['measured']['natural']:.4f}",
                    *(_with_interval(gains[kind]) for kind in ("predicted", "measured")),
                )
                for group, by_mixture in found["groups"].items()
                for name, gains in by_mixture.items()
            ],
        ),
        "![predicted and measured gains](study-gains.svg)",
        _table(
            ("task", "family", "law's held-out Spearman", "predicted gain", "measured gain"),
            [
                (
                    task["name"],
                    task["family"],
                    f"{task['heldout_spearman']:.2f}",
                    *(_with_interval(task["gain_proposed"][kind]) for kind in ("predicted", "measured")),
                )
                for task in found["tasks"]
            ],
        ),
        f"Cost, as wall time of the workers (on shared cores): {proxies['swarm']} proxies of"
        f" {proxies['parameters']:,} parameters {proxies['seconds'] / 3600:.1f} h; {len(larger)} larger models of"
        f" {larger[0]['parameters']:,} parameters {hours[0]:.1f} h to train and {hours[1]:.1f} h to measure.",
    ]
    return "\n\n".join(parts)


def _verdict(predicted: Gain, measured: Gain) -> str:
    if measured["low"] is None:
        return "One seed gives no interval: no verdict."
    if measured["low"] <= 0 <= measured["high"]:
        return "The measured interval contains zero: no gain is shown."
    if measured["bpb"] < 0:
        return "The proposed mixture is worse."
    inside = predicted["low"] <= measured["bpb"] <= predicted["high"]
    return f"The gain is real, and {'within' if inside else 'outside'} the predicted interval."


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def write_page(found: Figures, page: Path) -> None:
    """Put what was found between the marks of the page."""
    before, rest = page.read_text().split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n{markdown(found)}\n{END}{after}")


def draw(found: Figures, folder: Path) -> None:
    """Write the figures as SVG: the mixture, and predicted beside measured gains."""
    folder.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(
        {"svg.hashsalt": "study", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    ):
        for name, figure in (("mixture", _mixture(found)), ("gains", _gains(found))):
            figure.savefig(folder / f"{found['mix']['name']}-{name}.svg", metadata={"Date": None}, bbox_inches="tight")
            plt.close(figure)


def _mixture(found: Figures) -> Figure:
    rows = found["domains"][::-1]
    figure, axes = plt.subplots(figsize=(6, 0.32 * len(rows) + 0.8))
    place = np.arange(len(rows))
    axes.barh(place + 0.2, [SCALE * row["natural"] for row in rows], 0.38, color="#b8b8b8", label="natural")
    axes.barh(place - 0.2, [SCALE * row["weight"] for row in rows], 0.38, color="#1f6f8b", label="proposed")
    axes.set_yticks(place, [row["domain"] for row in rows])
    axes.set_xlabel("% of training tokens")
    axes.legend(frameon=False, loc="lower right")
    return figure


def _gains(found: Figures) -> Figure:
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), width_ratios=(1, 1.1))
    names = [name for name, gains in found["groups"].items() if gains["proposed"]["predicted"]][::-1]
    for offset, kind, colour in ((0.15, "predicted", "#b8b8b8"), (-0.15, "measured", "#1f6f8b")):
        gains = [found["groups"][name]["proposed"][kind] for name in names]
        shares = np.array([SCALE * gain["share"] for gain in gains])
        half = [
            0.0 if gain["high"] is None else SCALE * (gain["high"] - gain["bpb"]) / gain["natural"] for gain in gains
        ]
        at = np.arange(len(names)) + offset
        left.errorbar(shares, at, xerr=half, fmt="o", color=colour, capsize=3, label=kind)
    left.set_yticks(range(len(names)), names)
    left.axvline(0, color="#888888", linewidth=0.8)
    left.set_xlabel("gain over natural, % of its BPB, 90 % intervals")
    left.legend(frameon=False)
    families = sorted({task["family"] for task in found["tasks"]})
    for family, colour in zip(families, plt.get_cmap("tab10")(range(10)), strict=False):
        points = [
            [SCALE * task["gain_proposed"][kind]["share"] for kind in ("predicted", "measured")]
            for task in found["tasks"]
            if task["family"] == family
        ]
        right.scatter(*np.array(points).T, s=18, color=colour, label=family)
    low, high = (function(*right.get_xlim(), *right.get_ylim()) for function in (min, max))
    right.plot([low, high], [low, high], color="#888888", linewidth=0.8)
    right.set_xlabel("predicted gain of a task, % of natural")
    right.set_ylabel("measured with the larger model, %")
    right.legend(frameon=False)
    figure.tight_layout()
    return figure
