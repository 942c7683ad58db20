"""Five updates of a domain set, with real training: what reuse costs, and what its mixtures are worth.

On the quickstart's text, one after another: add a domain, add two, revise one, remove one, partition one. For each
strategy (full_recompute, full_reuse, auto) in a store of its own, the flow runs after every update; the table says what
it trained, what was cached and what was carried over. At the end a larger model (over three times the proxies'
parameters) is trained on the last mixture of each strategy and on the natural one, with two seeds, and measured on the
tasks.

    make bench-updates        (about an hour on two cores)
"""

import argparse
import gzip
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flows.execution import prefect_settings

prefect_settings.prepare()

import yaml  # noqa: E402
from prefect.testing.utilities import prefect_test_harness  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from flows.mix import run_mix  # noqa: E402
from olmix_core.config.load import load_config  # noqa: E402
from olmix_core.config.recipe import ProxyRecipe  # noqa: E402
from olmix_core.mixture import natural  # noqa: E402
from olmix_core.planning.preflight import resolve_inputs  # noqa: E402
from olmix_core.storage.layout import corpus_folder, tokenizer_path  # noqa: E402
from olmix_core.workers.jobs import EvaluateJob, ProxyReference, TrainJob  # noqa: E402
from olmix_core.workers.pool import worker_pool  # noqa: E402
from tasks.runtime import progress  # noqa: E402
from tasks.steps.statistics import StatisticsPayload, statistics  # noqa: E402

ROOT = Path(__file__).parent.parent
QUICKSTART = ROOT / "examples" / "quickstart"
STRATEGIES = ("full_recompute", "full_reuse", "auto")
SEEDS = (0, 1)
# The larger model: wider, deeper, and trained on more tokens.
TARGET = {"layers": 4, "width": 112, "heads": 4, "tokens": 1_048_576, "learning_rate": 6e-3}

Domains = list[dict[str, Any]]


def prepare(folder: Path) -> dict[str, Domains]:
    """Copy the text to `folder` and make the revised and partitioned parts; {update: the domains after it}."""
    data = folder / "data"
    shutil.copytree(QUICKSTART / "data", data)
    with gzip.open(data / "html.jsonl.gz", "rt") as file:
        documents = file.readlines()
    # A cleaner revision: without the shortest third of the documents.
    longest = sorted(documents, key=len)[len(documents) // 3 :]
    (data / "html-v2.jsonl").write_text("".join(longest))
    with gzip.open(data / "code.jsonl.gz", "rt") as file:
        code = file.readlines()
    tests = [line for line in code if "def test_" in line or "assert" in line]
    chosen = set(tests)
    (data / "code-asserting.jsonl").write_text("".join(tests))
    (data / "code-other.jsonl").write_text("".join(line for line in code if line not in chosen))

    def leaf(name: str, paths: str) -> dict[str, Any]:
        return {"name": name, "paths": f"data/{paths}"}

    code_leaf, cpp, html = leaf("code", "code.jsonl.gz"), leaf("cpp", "cpp/*.txt"), leaf("html", "html.jsonl.gz")
    prose, sessions = leaf("prose", "prose.jsonl"), leaf("sessions", "sessions.jsonl")
    data_json, readme = leaf("json", "json.jsonl"), leaf("readme", "readme/*.txt")
    html_2 = leaf("html", "html-v2.jsonl")
    parts = {
        "name": "code",
        "partition_of": "code",
        "topics": [leaf("asserting", "code-asserting.jsonl"), leaf("other", "code-other.jsonl")],
    }
    return {
        "start": [code_leaf, cpp, html, data_json],
        "add prose": [code_leaf, cpp, html, data_json, prose],
        "add sessions, readme": [code_leaf, cpp, html, data_json, prose, sessions, readme],
        "revise html": [code_leaf, cpp, html_2, data_json, prose, sessions, readme],
        "remove json": [code_leaf, cpp, html_2, prose, sessions, readme],
        "partition code": [parts, cpp, html_2, prose, sessions, readme],
    }


def write_config(folder: Path, strategy: str, domains: Domains, small: bool) -> Path:
    config: dict[str, Any] = {
        "name": "updates",
        "store": f"store-{strategy}",
        "domains": domains,
        "evaluation": {
            "tasks": [{"file": "data/tasks/explain_code.jsonl"}, {"file": "data/tasks/complete_code.jsonl"}]
        },
        "swarm": {"min_strength": 1, "max_strength": 10},  # the quickstart's
        "reuse": {"strategy": strategy},
    }
    if small:
        config["proxy"] = {"layers": 1, "width": 16, "heads": 1, "tokens": 8192}
    path = folder / f"{strategy}.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def run_updates(
    folder: Path, strategies: Sequence[str], updates: dict[str, Domains], small: bool
) -> list[dict[str, Any]]:
    rows = []
    for strategy in strategies:
        for update, domains in updates.items():
            path = write_config(folder, strategy, domains, small)
            tracked, started = progress.begin(), time.monotonic()
            record = run_mix(load_config(path), str(path))
            counts = tracked.accounting()
            train = counts.get("train", {"executed": 0, "cached": 0})
            rows.append(
                {
                    "strategy": strategy,
                    "update": update,
                    "executed": train["executed"],
                    "cached": train["cached"],
                    "reused": record.proxies.carried_over,
                    "released": list(record.plan.released),
                    "natural": record.predicted["natural"].bpb,
                    "proposed": record.predicted["proposed"].bpb,
                    "seconds": time.monotonic() - started,
                    "weights": dict(record.weights),
                }
            )
            print(f"{strategy}, {update}: {train['executed']} proxies, {rows[-1]['seconds']:.0f} s", flush=True)
    return rows


def measure(folder: Path, rows: list[dict[str, Any]], small: bool) -> list[dict[str, Any]]:
    """Train the larger model on the last mixture of each strategy and on natural, and measure it on the tasks."""
    first = rows[0]["strategy"]
    path = folder / f"{first}.yaml"
    config = load_config(path)
    inputs = resolve_inputs(config, str(path))
    latest = json.loads((folder / f"store-{first}/mixes/updates/latest.json").read_text())["version"]
    record = json.loads((folder / f"store-{first}/mixes/updates/{latest}/mix.json").read_text())
    tokenizer = record["tokenizer"]["fingerprint"]
    tokens = {leaf["fingerprint"]: leaf["tokens"] - leaf["heldout_tokens"] for leaf in record["domain_set"]}
    by_label = {leaf.label: leaf.fingerprint for leaf in inputs.domains.leaves}
    mixtures = {"natural": dict(zip(tokens, natural(list(tokens.values())).tolist(), strict=True))}
    for row in rows:
        if row["update"] == "partition code":
            mixtures[row["strategy"]] = {by_label[name]: weight for name, weight in row["weights"].items()}
    corpora = {leaf: corpus_folder(statistics.key(StatisticsPayload(leaf, tokenizer))) for leaf in tokens}
    recipe = {**inputs.recipe.identity(), **({} if small else TARGET)}

    def train_and_measure(job: tuple[str, int]) -> dict[str, Any]:
        name, seed = job
        identity = ProxyRecipe.model_validate({**recipe, "seed": seed}).identity()
        proxy = ProxyReference(config.store, f"target-{name}-{seed}", identity, tokenizer_path(tokenizer))
        mixture = {leaf: weight for leaf, weight in mixtures[name].items() if weight > 0}
        run = worker_pool.run(TrainJob(proxy, mixture, corpora))
        bpb = {task.label: worker_pool.run(EvaluateJob(proxy, task.label, task.source)).bpb for task in inputs.tasks}
        print(f"larger model on {name}, seed {seed}: {run.training.seconds:.0f} s", flush=True)
        return {
            "mixture": name,
            "seed": seed,
            "bpb": bpb,
            "parameters": run.training.parameters,
            "seconds": run.training.seconds,
        }

    jobs = [(name, seed) for name in mixtures for seed in SEEDS]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(train_and_measure, jobs))


def tables(rows: list[dict[str, Any]], measured: list[dict[str, Any]]) -> list[Table]:
    updates = Table("update", "strategy", title="proxies and predicted mean BPB, update by update")
    for name in ("executed", "cached", "carried over", "natural", "proposed", "seconds"):
        updates.add_column(name, justify="right")
    updates.add_column("released")
    for row in sorted(rows, key=lambda row: list(dict.fromkeys(r["update"] for r in rows)).index(row["update"])):
        counts = [str(row[name]) for name in ("executed", "cached", "reused")]
        predicted = [f"{row[name]:.4f}" for name in ("natural", "proposed")]
        released = ", ".join(row["released"])
        updates.add_row(row["update"], row["strategy"], *counts, *predicted, f"{row['seconds']:.0f}", released)
    final = Table("mixture", title="measured mean BPB of a larger model on the last mixtures")
    for name in ("proxies in all", *(f"seed {seed}" for seed in SEEDS), "mean", "better than natural"):
        final.add_column(name, justify="right")
    means = {}
    for name in dict.fromkeys(one["mixture"] for one in measured):
        values = [sum(one["bpb"].values()) / len(one["bpb"]) for one in measured if one["mixture"] == name]
        means[name] = sum(values) / len(values)
        spent = sum(row["executed"] for row in rows if row["strategy"] == name)
        gain = f"{1 - means[name] / means['natural']:.2%}"
        final.add_row(name, str(spent), *(f"{value:.4f}" for value in values), f"{means[name]:.4f}", gain)
    noise = seed_noise(measured)
    final.caption = (
        f"seed noise: standard deviation {noise:.4f} BPB, of a mean of {len(SEEDS)} seeds {noise / 2**0.5:.4f}"
    )
    return [updates, final]


def seed_noise(measured: list[dict[str, Any]]) -> float:
    """Standard deviation of the mean BPB between seeds, pooled over mixtures."""
    squares = []
    for name in {one["mixture"] for one in measured}:
        values = [sum(one["bpb"].values()) / len(one["bpb"]) for one in measured if one["mixture"] == name]
        mean = sum(values) / len(values)
        squares.append(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return float((sum(squares) / len(squares)) ** 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="tiny proxies: only to see that it runs")
    parser.add_argument("--strategies", nargs="*", choices=STRATEGIES, default=list(STRATEGIES))
    arguments = parser.parse_args()
    small, strategies = arguments.small, arguments.strategies
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name, prefect_test_harness(server_startup_timeout=120):
        folder = Path(name)
        rows = run_updates(folder, strategies, prepare(folder), small)
        measured = measure(folder, rows, small)
    console = Console(width=140)
    for table in tables(rows, measured):
        console.print(table)
    if not small:
        report = {
            "command": " ".join(["benchmarks/bench_updates.py", *sys.argv[1:]]),
            "date": datetime.now(UTC).date().isoformat(),
            "machine": {"cores": os.cpu_count(), "processor": platform.machine(), "python": platform.python_version()},
            "versions": {package: version(package) for package in ("torch", "numpy", "cvxpy", "prefect")},
            "seconds": time.monotonic() - started,
            "updates": rows,
            "measured": measured,
            "seed_noise": seed_noise(measured),
        }
        results = ROOT / "benchmarks" / "results"
        results.mkdir(exist_ok=True)
        which = "" if strategies == list(STRATEGIES) else f"_{'_'.join(strategies)}"
        (results / f"bench_updates{which}.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
