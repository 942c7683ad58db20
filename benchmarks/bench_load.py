"""A thousand proxies in one flow: what does everything but training cost?

Training is a stand-in of milliseconds, a trainer of one's own (`execution.command`) that computes a law; all else is
real: the flow and its server on SQLite, tasks and caching, the ledger, the law, the proposal, the report. Printed are
wall time per proxy, the peak memory of the flow's process, the task runs that the server has on record, the size of the
ledger and of the report; then the same again, when everything is cached.

    make bench-load        (ten minutes on two cores)
"""

import argparse
import json
import os
import random
import shlex
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks.report import table, write
from tests.support.server import Server

OLMIX = str(Path(sys.executable).with_name("olmix"))
DOMAINS, TASKS = 12, 4
SETTLED = 10.0  # seconds in which a server that still records task runs records another
STAND_IN = """
import json, math, sys
given = json.load(open(sys.argv[1]))
shares = list(given["weights"].values())
random = hash(given["name"]) % 1000 / 1e5
effect = lambda t: sum((j * 7 + t * 3) % 5 * w for j, w in enumerate(shares))
metrics = {f"m{t}": 1 + math.exp(-effect(t)) + random for t in range(TASKS)}
json.dump(metrics, open(sys.argv[2], "w"))
"""


def prepare(folder: Path, proxies: int) -> Path:
    """Twelve domains of words drawn at random, and a trainer that is none."""
    draws = random.Random(0)
    words = ["".join(draws.choices("abcdefghijklmnopqrstuvwxyz", k=draws.randint(2, 9))) for _ in range(2000)]
    for number in range(DOMAINS):
        texts = [" ".join(draws.choices(words[number * 50 : number * 50 + 1000], k=300)) for _ in range(60)]
        (folder / f"d{number}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    trainer = folder / "stand_in.py"
    trainer.write_text(STAND_IN.replace("TASKS", str(TASKS)))
    # -S and -E: a Python that starts in milliseconds; no hash is drawn anew, so that numbers are the same every time.
    command = f"PYTHONHASHSEED=0 {shlex.quote(sys.executable)} -S {shlex.quote(str(trainer))} {{config}} {{metrics}}"
    config: dict[str, Any] = {
        "name": "load",
        "store": str(folder / "store"),
        "domains": [{"name": f"d{number}", "paths": f"d{number}.jsonl"} for number in range(DOMAINS)],
        "tokenizer": {"vocab_size": 512},
        "proxy": {"trainer": "stand-in", "tokens": 65_536},
        "execution": {"command": command},
        "evaluation": {"tasks": [{"metric": f"m{t}"} for t in range(TASKS)]},
        "swarm": {"runs": proxies},
    }
    path = folder / "mix.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def measured(config: Path, log: Path) -> tuple[float, float]:
    """Seconds of one run, and the peak memory of its process in GB."""
    began, peak = time.monotonic(), 0.0
    with log.open("ab") as out:
        process = subprocess.Popen([OLMIX, "run", str(config)], stdout=out, stderr=out)
        watched, over = psutil.Process(process.pid), threading.Event()

        def watch() -> None:
            nonlocal peak
            while not over.wait(0.2):
                try:
                    peak = max(peak, watched.memory_info().rss / 1e9)
                except psutil.NoSuchProcess:
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        status = process.wait()
        over.set()
        watcher.join()
    if status:
        sys.exit(f"the run ended with {status}: see {log}")
    return time.monotonic() - began, peak


def recorded(server: Server) -> int:
    """Task runs that ended and that the server knows, once it has caught up."""
    counts = [-1, 0]
    while counts[-1] != counts[-2]:
        time.sleep(SETTLED)
        body = json.dumps({"task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}).encode()
        url = f"http://127.0.0.1:{server.port}/api/task_runs/count"
        asked = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
        with urllib.request.urlopen(asked, timeout=60) as answer:
            counts.append(json.load(answer))
    return counts[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proxies", type=int, default=1000)
    proxies = parser.parse_args().proxies
    with tempfile.TemporaryDirectory(prefix="olmix-load-") as aside:
        folder = Path(aside)
        os.environ["OLMIX_CACHE_DIR"] = str(folder / "cache")
        config = prepare(folder, proxies)
        with Server(folder) as server:
            rows: list[dict[str, Any]] = []
            for what in ("trained", "cached"):
                seconds, peak = measured(config, folder / "log")
                known = recorded(server) - sum(row["task_runs"] for row in rows)
                row = {"run": what, "seconds": seconds, "seconds_per_proxy": seconds / proxies, "peak_gb": peak}
                rows.append({**row, "task_runs": known})
            database = sum(file.stat().st_size for file in server.home.glob("prefect.db*")) / 1e6
        store = folder / "store"
        size = sum(file.stat().st_size for file in (store / "evidence").glob("*.parquet")) / 1e6
        [report] = store.glob("mixes/load/*/report.html")
        sizes = {"ledger_mb": size, "report_mb": report.stat().st_size / 1e6, "database_mb": database}
    print(f"{proxies} proxies, {TASKS} tasks, {DOMAINS} domains")
    table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    table(tuple(sizes), [tuple(sizes.values())])
    write("bench_load", {"proxies": proxies, "tasks": TASKS, "domains": DOMAINS, "runs": rows, **sizes})


if __name__ == "__main__":
    main()
