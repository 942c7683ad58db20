"""From a ledger of 100,000 rows to a regression problem: seconds and memory, before and after compaction.

A row holds 64 leaves and 52 tasks, as the largest released swarm does. Each case runs in a process of its own, so that
its peak of memory is its own; what the packages take by themselves is told beside it. cpu_seconds are those of all
threads, in which what else the machine does has no part.
"""

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa

from benchmarks.report import table, write
from olmix_core.evidence import ledger
from olmix_core.evidence.merge import COLUMNS, merge
from olmix_core.evidence.rows import SCHEMA, recipe_key
from olmix_core.identity import digest
from olmix_core.storage.layout import EVIDENCE_FOLDER
from olmix_core.storage.store import Store

LEAVES, TASKS = 64, 52


def rows(count: int, seed: int) -> pa.Table:
    """`count` rows of made-up evidence."""
    random = np.random.default_rng(seed)

    def cells(kind: str, width: int, values: Any) -> pa.Array:
        names = pa.array([digest([kind, number]) for number in range(width)])
        codes = pa.array(np.tile(np.arange(width, dtype=np.int32), count))
        keys = pa.DictionaryArray.from_arrays(codes, names).cast(pa.string())
        return pa.MapArray.from_arrays(np.arange(0, count * width + 1, width, dtype=np.int32), keys, values.ravel())

    recipe = {"layers": 2, "width": 64, "tokens": 262144, "seed": 0}
    same: dict[str, Any] = {
        "recipe_key": recipe_key(recipe),
        "recipe": json.dumps(recipe),
        "tokenizer": digest("tokenizer"),
    }
    same |= {"evaluation": 1, "swarm": digest(["swarm", seed // 4]), "source": "mix@v0001", "imported": False}
    columns: dict[str, Any] = {name: [value] * count for name, value in same.items()}
    for name in ("row", "proxy"):
        columns[name] = [hashlib.sha256(f"{name} {seed} {k}".encode()).hexdigest() for k in range(count)]
    columns |= {"seed": [0] * count, "tokens": [262144] * count, "seconds": random.uniform(5, 6, count)}
    columns["mixture"] = cells("leaf", LEAVES, random.dirichlet(np.full(LEAVES, 0.3), count))
    columns["bpb"] = cells("task", TASKS, random.uniform(0.5, 2.0, (count, TASKS)))
    columns["labels"] = pa.array([[]] * count, SCHEMA.field("labels").type)
    columns["recorded"] = pa.array([seed] * count, SCHEMA.field("recorded").type)
    return pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)


def problem(folder: str) -> dict[str, float]:
    """Read the ledger of a store and make the regression problem of it."""
    before = psutil.Process().memory_info().rss / 1e9
    begin, worked = time.perf_counter(), time.process_time()
    facts = ledger.read(Store(folder), COLUMNS)
    read = time.perf_counter()
    merged = merge(facts)
    evidence = merged.problem(sorted(merged.contents()), {}, merged.bpb.names)
    end = time.perf_counter()
    return {
        "runs": len(evidence.runs),
        "read_seconds": read - begin,
        "seconds": end - begin,
        "cpu_seconds": time.process_time() - worked,
        "packages_gb": before,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }


def in_a_process(folder: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.bench_ledger", "--store", folder]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(found.stdout)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=500, help="appends that wrote them")
    parser.add_argument("--store", help="only read this store and print the figures as JSON")
    arguments = parser.parse_args()
    if arguments.store:
        print(json.dumps(problem(arguments.store)))
        return
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        begin = time.perf_counter()
        for number in range(arguments.files):
            ledger.append_table(store, rows(arguments.rows // arguments.files, number))
        print(f"{arguments.rows} rows in {arguments.files} files: {time.perf_counter() - begin:.1f} s to make\n")
        cases.append({"case": f"{arguments.files} files", **in_a_process(folder)})
        begin = time.perf_counter()
        ledger.compact(store)
        seconds = time.perf_counter() - begin
        cases.append({"case": "compacted", **in_a_process(folder)})
        size = sum(path.stat().st_size for path in Path(folder, EVIDENCE_FOLDER).glob("*.parquet"))
    table(tuple(cases[0]), [tuple(case.values()) for case in cases])
    print(f"compaction: {seconds:.1f} s; on disk {size / 1e6:.0f} MB")
    write("ledger", {"cases": cases, "compaction_seconds": seconds, "compacted_bytes": size})


if __name__ == "__main__":
    main()
