"""Does a proxy see mixtures, or noise? On the quickstart's real text, or a configuration's, with the recipe `tiny`.

At least twelve mixtures, drawn as a swarm draws them, are trained with two seeds each and measured on the held-out text
of every domain and on tasks: the quickstart's, or a list. Per task: the spread across mixtures (standard deviation of
the mean over seeds) over the spread across seeds (pooled standard deviation within mixtures, of a mean over seeds). At
1 the proxies see noise; the law beside it is fitted to the runs of seed 0 and judged on runs left out.

    make bench-signal        (24 proxies; about 2 minutes on two free cores)
    python benchmarks/bench_signal.py --config examples/study/mix.yaml --list examples/study/data/tasks/olmix-52.yaml
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.laboratory import QUICKSTART, Laboratory, tasks_of
from olmix_core.config.recipe import ProxyRecipe
from olmix_core.surrogate.cross_validation import Folds
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import cross_validate

SEEDS = (0, 1)


def signal(bpb: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """[tasks] spread across mixtures over spread across seeds; bpb [K, seeds, tasks]."""
    across = bpb.mean(axis=1).std(axis=0, ddof=1)
    within = np.sqrt(bpb.var(axis=1, ddof=1).mean(axis=0) / bpb.shape[1])
    return across / within


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mixtures", type=int, default=12)
    parser.add_argument("--config", type=Path, default=QUICKSTART / "mix.yaml", help="whose domains")
    parser.add_argument("--list", type=Path, help="a list of tasks, instead of the quickstart's")
    parser.add_argument("--sample", type=int, default=100, help="documents of each task of the list")
    parser.add_argument("--tokens", type=int, default=ProxyRecipe().tokens, help="that a proxy trains on")
    arguments = parser.parse_args()
    recipe = {"tokens": arguments.tokens}
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        text = Laboratory(folder, arguments.config, tasks_of(arguments.list, arguments.sample), recipe)
        drawn = text.swarm(arguments.mixtures)
        bpb, each = text.measure(drawn, SEEDS)
    ratios, first = signal(bpb), bpb[:, 0]
    runs = tuple(f"{number:03d}" for number in range(len(first)))
    evidence = SwarmData(drawn, first, runs, text.leaves, text.tasks)
    law = cross_validate(evidence, folds=Folds(5, seed=0)).table()
    across = bpb.mean(axis=1).std(axis=0, ddof=1)
    rows = [
        {
            "task": task,
            "mean BPB": float(bpb[..., i].mean()),
            "across mixtures": float(across[i]),
            "across seeds": float(across[i] / ratios[i]),
            "signal": float(ratios[i]),
            "law's held-out R2": float(law["r2"].astype(float).to_dict()[task]),
            "law's held-out Spearman": float(law["spearman"].astype(float).to_dict()[task]),
        }
        for i, task in enumerate(text.tasks)
    ]
    report.table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    heldout = float(np.median([row["signal"] for row in rows if str(row["task"]).startswith("heldout")]))
    seconds = float(np.median(each))
    print(f"median signal over held-out domains {heldout:.1f}; a proxy takes {seconds:.1f} s (median)")
    name = "signal" if arguments.config.parent == QUICKSTART else f"signal_{arguments.config.resolve().parent.name}"
    report.write(
        name,
        {
            "mixtures": len(first),
            "seeds": len(SEEDS),
            "recipe": json.loads(json.dumps(ProxyRecipe(**recipe).identity())),
            "median_signal_heldout": heldout,
            "seconds_per_proxy": seconds,
            "seconds": time.monotonic() - started,
            "tasks": rows,
        },
    )


if __name__ == "__main__":
    main()
