"""The paper's five updates, simulated: what each strategy spends and what its last mixture is worth.

See `updates` for the simulation and `strategies` for what is compared. For every truth and seed: proxy runs over all
updates, gain of the last mixture over natural in true BPB, and its share of the gain of the mixture that who knew the
truth would propose; means with 95 % intervals (t distribution over seeds; over truths and seeds for the totals). The
figure draws runs against gain.

    make bench-five-updates        (about half an hour on one core)
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time
from pathlib import Path

import matplotlib
import numpy as np
from scipy.stats import t

from benchmarks.report import RESULTS, table, write
from benchmarks.strategies import RELEASED, Strategy, adaptive, auto, full_recompute, reuse, swarm_reuse
from benchmarks.swarms import SWARMS
from benchmarks.truths import TRUTHS
from benchmarks.updates import best, world

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from olmix_core.mixture import Array

TICKS = (100, 150, 200, 300, 400, 600, 800)  # proxy runs
STRATEGIES: dict[str, Strategy] = {
    "full_recompute c=1": full_recompute(1),
    "full_recompute c=2": full_recompute(2),
    "full_recompute c=3": full_recompute(3),
    "full_reuse": reuse(()),
    "partial_reuse": reuse((RELEASED,)),
    "swarm_reuse": swarm_reuse,
    "auto, in E": auto(1.5, whole_space=False),
    "auto": auto(1.5, whole_space=True),
    "auto, adaptive": adaptive(1.5, rounds=3),
}


def interval(values: Array) -> tuple[float, float]:
    """Mean and half width of its 95 % interval."""
    if len(values) < 2:
        return float(values.mean()), float("nan")
    return float(values.mean()), float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def figure(totals: list[dict[str, float | str]], path: Path) -> None:
    """Runs against share of the best possible gain."""
    plot, axes = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
    drawn: list[float] = []
    for row in totals:
        runs = float(row["runs"])
        beside = runs * 1.03 ** drawn.count(runs)  # as many runs as another strategy: drawn next to it
        drawn.append(runs)
        axes.errorbar(beside, row["share"], yerr=row["share_95"], fmt="o", capsize=3, label=row["strategy"])
    axes.set_xscale("log")
    axes.set_xticks(TICKS, [str(runs) for runs in TICKS])
    axes.minorticks_off()
    axes.set_xlabel("proxy runs over the start and five updates")
    axes.set_ylabel("share of the best possible gain")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower right")
    plot.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--every", type=int, default=4, help="take each so many-th of the 52 tasks; 1 takes all")
    parser.add_argument("--truths", nargs="*", choices=TRUTHS, default=list(TRUTHS))
    parser.add_argument("--strategies", nargs="*", choices=STRATEGIES, default=list(STRATEGIES))
    arguments = parser.parse_args()
    if not SWARMS.exists():
        raise SystemExit("needs the released swarms in ../shared/swarms")
    each: list[dict[str, float | str]] = []
    for truth in arguments.truths:
        one = world(truth, arguments.every)
        natural = one.bpb(one.natural(one.stages[-1])[None]).mean()
        possible = natural - one.bpb(best(one)[None]).mean()
        print(f"{truth}: natural {natural:.4f} BPB, best possible gain {possible:.4f}", flush=True)
        for name in arguments.strategies:
            for seed in range(arguments.seeds):
                begin = time.perf_counter()
                q, runs = STRATEGIES[name](one, seed)
                gain = float(natural - one.bpb(q[None]).mean())
                row = {"truth": truth, "strategy": name, "seed": seed, "runs": runs, "gain": gain}
                each.append({**row, "share": gain / possible, "gain_percent": 100 * gain / natural})
                print(
                    f"  {name:20} {runs:4} runs  {gain / possible:.3f}  {time.perf_counter() - begin:.0f} s", flush=True
                )
    full = max(int(row["runs"]) for row in each)
    totals: list[dict[str, float | str]] = []
    for truth in (*arguments.truths, "all truths"):
        rows: list[tuple[object, ...]] = []
        for name in arguments.strategies:
            found = [row for row in each if row["strategy"] == name and truth in (row["truth"], "all truths")]
            gain, gain_95 = interval(np.array([float(row["gain"]) for row in found]))
            share, share_95 = interval(np.array([float(row["share"]) for row in found]))
            runs = int(found[0]["runs"])
            rows.append((name, runs, f"{100 * runs / full:.0f} %", gain, gain_95, share, share_95))
            totals.append(
                {"truth": truth, "strategy": name, "runs": runs, "gain": gain, "gain_95": gain_95}
                | {"share": share, "share_95": share_95}
            )
        print(truth)
        table(("strategy", "runs", "of most", "gain BPB", "+-", "share of best", "+-"), rows)
    figure([row for row in totals if row["truth"] == "all truths"], RESULTS / "five_updates.png")
    settings = {"seeds": arguments.seeds, "every": arguments.every}
    write("five_updates", {**settings, "strategies": totals, "runs": each})


if __name__ == "__main__":
    main()
