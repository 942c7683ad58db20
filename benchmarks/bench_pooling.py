"""Few new runs and many old ones: what swarms of other domain sets are worth to a fit.

Held-out runs of the 64-domain swarm are predicted from 16, 32 or 64 of its runs

- new: from these alone;
- stacked: with all runs of the 24-domain and the 22-dimension swarm beside them, as if they were one swarm;
- pooled: the same runs, with levels and weights of swarms and likeness within sources (`prior_selection`).

The leaves of all three are the same content: DCLM topics under their own names, PDF topics under two names, and the
virtual domain `existing` by the ratios inside it. Spearman and mean absolute error (BPB) of the mean over tasks, mean
absolute error per task, and how often 90 % intervals of the mean hold; means over random splits, with their standard
error for Spearman.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import time

import numpy as np
from scipy.stats import spearmanr

from benchmarks.report import table, write
from benchmarks.swarms import SWARMS, load
from olmix_core.mixture import Array
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import fit_law
from olmix_core.surrogate.regression.prior import SwarmPrior
from olmix_core.surrogate.settings import FitSettings

NEW, OLD = "all64", ("dclm24", "pdf22")
SIZES = (16, 32, 64)
WAYS = ("new", "stacked", "pooled")
FAMILIES = ("log_linear", "diminishing_returns", "auto")
COLUMNS = ("spearman", "spearman_se", "mae", "task_mae", "coverage90", "seconds")
NORMAL_90 = 1.6449


def in_leaves(name: str, leaves: tuple[str, ...], tasks: tuple[str, ...]) -> SwarmData:
    """A swarm over the leaves of the 64-domain swarm."""
    swarm, row = load(name), {leaf: j for j, leaf in enumerate(leaves)}
    inside = json.loads((SWARMS / "facts.json").read_text())["pdf22"]["existing"]
    E = np.zeros((len(swarm.leaves), len(leaves)))
    for i, domain in enumerate(swarm.leaves):
        if domain == "existing":
            for leaf, share in inside.items():
                E[i, row[leaf]] = share
        else:
            E[i, row[f"dclm:{domain}" if name == "dclm24" else domain.replace("s2pdfv1:", "s2pdf:")]] = 1.0
    Y = swarm.Y[:, [swarm.tasks.index(task) for task in tasks]]
    return SwarmData(swarm.X @ E, Y, tuple(f"{name}/{run}" for run in swarm.runs), leaves, tasks)


def stacked(parts: list[SwarmData]) -> SwarmData:
    """Runs of several swarms over the same leaves and tasks as one."""
    X, Y = (np.vstack(arrays) for arrays in zip(*((part.X, part.Y) for part in parts), strict=True))
    return SwarmData(X, Y, tuple(run for part in parts for run in part.runs), parts[0].leaves, parts[0].tasks)


def pool_of(evidence: SwarmData) -> SwarmPrior:
    """Which swarm each run is of, and the sources of the leaves."""
    sources: dict[str, list[str]] = {}
    for leaf in evidence.leaves:
        sources.setdefault(leaf.split(":")[0], []).append(leaf)
    return SwarmPrior(
        swarms={run: run.split("/")[0] for run in evidence.runs},
        current=NEW,
        sources=tuple(tuple(leaves) for leaves in sources.values()),
    )


def held_out(new: SwarmData, old: list[SwarmData], count: int, seed: int, family: str, way: str) -> tuple[Array, str]:
    """Errors of one split, and how it was pooled."""
    order = np.random.default_rng([seed, count]).permutation(len(new.runs))
    train, test = new.rows(order[:count]), new.rows(order[count:])
    evidence = train if way == "new" else stacked([train, *old])
    begin = time.perf_counter()
    surrogate = fit_law(evidence, FitSettings(family=family, prior=pool_of(evidence) if way == "pooled" else None))
    seconds = time.perf_counter() - begin
    predicted = surrogate.predict(test.X)
    mean, measured = predicted.mean(axis=1), test.Y.mean(axis=1)
    std = np.hypot([surrogate.objective_std(q) for q in test.X], surrogate.objective_noises(test.X))
    chosen = surrogate.prior
    told = (
        ""
        if chosen is None
        else f"drift {chosen.level_precision} likeness {chosen.source_correlation:g} {dict(chosen.weights)}"
    )
    figures = np.array(
        [
            spearmanr(mean, measured).statistic,
            np.abs(mean - measured).mean(),
            np.abs(predicted - test.Y).mean(),
            np.mean(np.abs(mean - measured) <= NORMAL_90 * std),
            seconds,
        ]
    )
    return figures, f"{surrogate.family} gamma {surrogate.gamma} {told}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=5, help="random splits per size")
    parser.add_argument("--sizes", nargs="*", type=int, default=list(SIZES), help="new runs to fit to")
    parser.add_argument("--families", nargs="*", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    arguments = parser.parse_args()
    if not SWARMS.exists():
        raise SystemExit("needs the released swarms in ../shared/swarms")
    whole = load(NEW)
    new = SwarmData(whole.X, whole.Y, tuple(f"{NEW}/{run}" for run in whole.runs), whole.leaves, whole.tasks)
    old = [in_leaves(name, new.leaves, new.tasks) for name in OLD]
    results = []
    rows: list[tuple[object, ...]] = []
    for family in arguments.families:
        for way in arguments.ways:
            for size in arguments.sizes:
                each = [held_out(new, old, size, seed, family, way) for seed in range(arguments.splits)]
                found = np.array([figures for figures, _ in each])
                mean = found.mean(axis=0).tolist()
                error = float(found[:, 0].std(ddof=1) / np.sqrt(len(each))) if len(each) > 1 else float("nan")
                figures = dict(zip(COLUMNS, (mean[0], error, *mean[1:]), strict=True))
                results.append({"family": family, "way": way, "runs": size, **figures, "pools": [p for _, p in each]})
                rows.append((family, way, size, *figures.values()))
                print(*rows[-1], *(p for _, p in each), sep="  ", flush=True)
                write("pooling", {"splits": arguments.splits, "held_out": results})  # what is done, if it is stopped
    table(("family", "way", "new runs", *COLUMNS), rows)


if __name__ == "__main__":
    main()
