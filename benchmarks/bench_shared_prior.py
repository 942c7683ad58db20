"""Held-out error with few runs: the shared prior against a ridge of each task, on the released swarms.

Repeated random splits: K runs to fit, all others to test. The leaves of `all64` and `pdf22` come from several sources,
which both are told. Coverage is how often 90 % intervals (law and noise) hold the measured value, of the mean over
tasks and of single tasks; seconds are those of the processor. Optimism is the predicted over the measured gain of the
five runs that are predicted best, against the mean of the runs left out: for the mean over tasks, and for each task by
itself.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time

import numpy as np
from scipy.stats import spearmanr

from benchmarks.report import table, write
from benchmarks.swarms import NAMES, SWARMS, load
from olmix_core.mixture import Array
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import fit
from olmix_core.surrogate.intervals import NORMAL_90, measured_stds, measured_task_stds
from olmix_core.surrogate.regression.prior import SwarmPrior
from olmix_core.surrogate.settings import FitSettings

SIZES = {"dclm24": (12, 25, 50, 75), "pdf22": (12, 23, 46), "all64": (16, 33, 65, 130)}
COLUMNS = (
    "spearman",
    "mae",
    "task_mae",
    "regret5",
    "coverage90",
    "task_coverage90",
    "optimism",
    "task_optimism",
    "seconds",
)


def related(evidence: SwarmData) -> SwarmPrior | None:
    """One swarm, whose leaves are called source:topic; None where these are unrelated."""
    sources: dict[str, list[str]] = {}
    for leaf in evidence.leaves:
        sources.setdefault(leaf.split(":")[0], []).append(leaf)
    groups = [leaves for leaves in sources.values() if len(leaves) > 1]
    return SwarmPrior(dict.fromkeys(evidence.runs, ""), "", groups) if groups else None


def optimism(predicted: Array, measured: Array) -> float:
    """Predicted over measured gain of the five best predicted runs, in total over tasks [n, T]."""
    best = np.argsort(predicted, axis=0)[:5]
    gains = [(Y.mean(axis=0) - np.take_along_axis(Y, best, axis=0).mean(axis=0)).sum() for Y in (predicted, measured)]
    return float(gains[0] / gains[1])


def held_out(evidence: SwarmData, count: int, seed: int, family: str) -> Array:
    """COLUMNS of one split: fitted to `count` runs, tested on the others."""
    order = np.random.default_rng([seed, count]).permutation(len(evidence.runs))
    train, test = evidence.rows(order[:count]), evidence.rows(order[count:])
    begin = time.process_time()
    surrogate = fit(train, FitSettings(family=family, prior=related(train)))
    seconds = time.process_time() - begin
    predicted = surrogate.predict(test.X)
    mean, measured = predicted.mean(axis=1), test.Y.mean(axis=1)
    best = measured[np.argsort(mean)[:5]]
    inside = np.abs(mean - measured) <= NORMAL_90 * measured_stds(surrogate, test.X)
    task_inside = np.abs(predicted - test.Y) <= NORMAL_90 * measured_task_stds(surrogate, test.X)
    return np.array(
        [
            spearmanr(mean, measured).statistic,
            np.abs(mean - measured).mean(),
            np.abs(predicted - test.Y).mean(),
            best.mean() - measured.min(),
            inside.mean(),
            task_inside.mean(),
            optimism(mean[:, None], measured[:, None]),
            optimism(predicted, test.Y),
            seconds,
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=5, help="random splits per swarm and size")
    arguments = parser.parse_args()
    if not SWARMS.exists():
        raise SystemExit("needs the released swarms in ../shared/swarms")
    results = []
    for name in NAMES:
        evidence = load(name)
        rows: list[tuple[object, ...]] = []
        for size in SIZES[name]:
            for family in ("diminishing_returns", "shared_prior"):
                splits = [held_out(evidence, size, seed, family) for seed in range(arguments.splits)]
                figures = dict(zip(COLUMNS, (float(value) for value in np.mean(splits, axis=0)), strict=True))
                results.append({"swarm": name, "runs": size, "family": family, **figures})
                rows.append((size, family, *figures.values()))
        print(f"{name}: {len(evidence.leaves)} leaves, {len(evidence.runs)} runs, {arguments.splits} splits")
        table(("runs", "family", *COLUMNS), rows)
    write("shared_prior", {"splits": arguments.splits, "held_out": results})


if __name__ == "__main__":
    main()
