"""Held-out error of every family on the released swarms, at one, two and three runs per parameter.

Repeated random splits: K runs to fit, all others to test. Spearman and mean absolute error (BPB) of the mean over
tasks, mean absolute error per task, and how often 90 % intervals (law and noise) hold the measured value: 85 to 95 %
is right. The comparison families take minutes where a law takes seconds: they are fitted to fewer splits, and without
intervals, which would take five more fits each. Seconds are those of the processor.
"""

import os
from typing import Any

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
from olmix_core.surrogate.intervals import measured_stds, measured_task_stds
from olmix_core.surrogate.registry import registered_families
from olmix_core.surrogate.settings import FitSettings

FAMILIES: dict[str, dict[str, Any]] = {
    "log_linear, no ridge": {"family": "log_linear", "ridge": 0.0},
    **{family.name: {"family": family.name} for family in registered_families()},
}
REGRESSORS = {family.name for family in registered_families() if not family.has_law}
COLUMNS = ("spearman", "mae", "task_mae", "coverage90", "task_coverage90", "gamma", "seconds")
NORMAL_90 = 1.6449


def held_out(evidence: SwarmData, count: int, seed: int, settings: dict[str, Any]) -> Array:
    """COLUMNS of one split: fitted to `count` runs, tested on the others."""
    order = np.random.default_rng([seed, count]).permutation(len(evidence.runs))
    train, test = evidence.rows(order[:count]), evidence.rows(order[count:])
    begin = time.process_time()
    surrogate = fit(train, FitSettings(**settings))
    predicted = surrogate.predict(test.X)
    seconds = time.process_time() - begin  # some families fit when they are first asked
    mean, measured = predicted.mean(axis=1), test.Y.mean(axis=1)
    coverage = [np.nan, np.nan]
    if surrogate.is_convex:
        interval = NORMAL_90 * measured_stds(surrogate, test.X)
        task_interval = NORMAL_90 * measured_task_stds(surrogate, test.X)
        inside = (np.abs(mean - measured) <= interval, np.abs(predicted - test.Y) <= task_interval)
        coverage = [float(np.mean(one)) for one in inside]
    return np.array(
        [
            spearmanr(mean, measured).statistic,
            np.abs(mean - measured).mean(),
            np.abs(predicted - test.Y).mean(),
            *coverage,
            np.nan if surrogate.gamma is None else surrogate.gamma,
            seconds,
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=5, help="random splits per swarm and size")
    parser.add_argument("--comparison-splits", type=int, default=1, help="the same for the comparison families")
    parser.add_argument("--families", nargs="*", choices=FAMILIES, default=list(FAMILIES))
    arguments = parser.parse_args()
    if not SWARMS.exists():
        raise SystemExit("needs the released swarms in ../shared/swarms")
    results = []
    for name in NAMES:
        evidence = load(name)
        runs, leaves = evidence.X.shape
        sizes = [c * (leaves + 1) for c in (1, 2, 3) if c * (leaves + 1) <= runs - 10]
        rows: list[tuple[object, ...]] = []
        for size in sizes:
            for family in arguments.families:
                splits = arguments.comparison_splits if family in REGRESSORS else arguments.splits
                each = [held_out(evidence, size, seed, FAMILIES[family]) for seed in range(splits)]
                known = [float(np.mean(x)) for x in zip(*each, strict=True)]
                figures = {key: None if np.isnan(x) else x for key, x in zip(COLUMNS, known, strict=True)}
                results.append({"swarm": name, "runs": size, "family": family, **figures})
                rows.append((size, family, *("-" if x is None else x for x in figures.values())))
        print(f"{name}: {leaves} leaves, {runs} runs, {arguments.splits} splits")
        table(("runs", "family", *COLUMNS), rows)
    write("surrogate", {"splits": arguments.splits, "held_out": results})


if __name__ == "__main__":
    main()
