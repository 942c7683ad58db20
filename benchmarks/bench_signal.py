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
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import report

from olmix_core.config import load_config, read_task_list
from olmix_core.corpus import tokenise, train_tokenizer
from olmix_core.mixture import natural
from olmix_core.preflight import look
from olmix_core.recipe import Proxy
from olmix_core.store import Store
from olmix_core.surrogate import Evidence, cross_validate
from olmix_core.swarm import sample_swarm
from olmix_core.tasklist import Task
from olmix_core.workers import at_once, workers

QUICKSTART = Path(__file__).parent.parent / "examples" / "quickstart"
SEEDS = (0, 1)


def measure(folder: str, path: Path, listed: Sequence[Task], mixtures: int, recipe: dict[str, int]) -> dict[str, Any]:
    """Train and measure; {leaves, tasks, weights [K, m], bpb [K, seeds, tasks], seconds of a proxy [K * seeds]}."""
    config = load_config(path)
    inputs = look(config, str(path))
    store, leaves = Store(folder), inputs.domains.leaves
    tokenizer = train_tokenizer([leaf.files for leaf in leaves], inputs.vocab_size)
    store.write_json("tokenizer.json", tokenizer.to_json())
    tokens = [tokenise(leaf.files, tokenizer, store, f"tokens/{leaf.fingerprint}").available for leaf in leaves]
    ones = np.ones(len(leaves))
    drawn = sample_swarm(mixtures, natural(tokens), np.eye(len(leaves)), config.swarm, 0 * ones, ones)
    corpora = {leaf.fingerprint: f"tokens/{leaf.fingerprint}" for leaf in leaves}
    tasks: dict[str, dict[str, Any]] = {
        f"heldout {leaf.label}": {"file": None, "corpora": [corpora[leaf.fingerprint]]} for leaf in leaves
    }
    for task in listed:
        chosen = [task.sample, task.sample_seed] if task.sample else None
        tasks[task.label] = {"file": str(task.file), "sample": chosen, "corpora": []}

    def run(job: tuple[int, int]) -> tuple[float, list[float]]:
        number, seed = job
        common = {"store": folder, "key": f"{number}-{seed}", "tokenizer": "tokenizer.json"}
        common["recipe"] = Proxy(seed=seed, **recipe).identity()
        weights = zip(leaves, drawn[number].tolist(), strict=True)
        mixture = {leaf.fingerprint: weight for leaf, weight in weights if weight > 0}
        trained = workers.run({"do": "train", "mixture": mixture, "corpora": corpora, **common})
        scores = [workers.run({"do": "evaluate", "label": name, **task, **common}) for name, task in tasks.items()]
        print(f"mixture {number}, seed {seed}: {trained['seconds']:.1f} s", flush=True)
        return trained["seconds"], [score["bpb"] for score in scores]

    jobs = [(number, seed) for number in range(mixtures) for seed in SEEDS]
    with ThreadPoolExecutor(at_once()) as pool:
        found = list(pool.map(run, jobs))
    workers.close()
    bpb = np.array([scores for _, scores in found]).reshape(mixtures, len(SEEDS), len(tasks))
    return {
        "leaves": [leaf.label for leaf in leaves],
        "tasks": list(tasks),
        "weights": drawn,
        "bpb": bpb,
        "seconds": [seconds for seconds, _ in found],
    }


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
    parser.add_argument("--tokens", type=int, default=Proxy().tokens, help="that a proxy trains on")
    arguments = parser.parse_args()
    if arguments.list:
        entry = Task.model_validate({"list": str(arguments.list), "sample": arguments.sample})
        listed = read_task_list(entry, arguments.list, "(file)")
    else:
        listed = [Task(file=str(file)) for file in sorted((QUICKSTART / "data" / "tasks").glob("*.jsonl"))]
    recipe = {"tokens": arguments.tokens}
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(folder, arguments.config, listed, arguments.mixtures, recipe)
    ratios, first = signal(found["bpb"]), found["bpb"][:, 0]
    runs = tuple(f"{number:03d}" for number in range(len(first)))
    evidence = Evidence(found["weights"], first, runs, tuple(found["leaves"]), tuple(found["tasks"]))
    law = cross_validate(evidence, folds=5, seed=0).table()
    across = found["bpb"].mean(axis=1).std(axis=0, ddof=1)
    rows = [
        {
            "task": task,
            "mean BPB": float(found["bpb"][..., i].mean()),
            "across mixtures": float(across[i]),
            "across seeds": float(across[i] / ratios[i]),
            "signal": float(ratios[i]),
            "law's held-out R2": float(law.loc[task, "r2"]),
            "law's held-out Spearman": float(law.loc[task, "spearman"]),
        }
        for i, task in enumerate(found["tasks"])
    ]
    report.table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    heldout = float(np.median([row["signal"] for row in rows if str(row["task"]).startswith("heldout")]))
    seconds = float(np.median(found["seconds"]))
    print(f"median signal over held-out domains {heldout:.1f}; a proxy takes {seconds:.1f} s (median)")
    name = "signal" if arguments.config.parent == QUICKSTART else f"signal_{arguments.config.resolve().parent.name}"
    report.write(
        name,
        {
            "mixtures": len(first),
            "seeds": len(SEEDS),
            "recipe": json.loads(json.dumps(Proxy(**recipe).identity())),
            "median_signal_heldout": heldout,
            "seconds_per_proxy": seconds,
            "seconds": time.monotonic() - started,
            "tasks": rows,
        },
    )


if __name__ == "__main__":
    main()
