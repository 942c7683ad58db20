"""How long a report takes and how large it is, for a small mix and for the largest that is foreseen.

The small one is the released swarm of 24 domains (dclm24). The large one has 64 leaves, 52 tasks and 512 runs: the law
fitted to the released swarm of 64 domains is the truth, from which the mixtures of 512 runs (the released 256, and as
many between neighbours of them) are measured with that law's noise. Each page is made in a process of its own, on one
core; reading the files, drawing and writing are all in it, the fit is not.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from benchmarks.report import table, write
from benchmarks.swarms import SWARMS, load
from olmix_core.interop.fit import fit_published
from olmix_core.mixes.loading import load_folder
from olmix_core.report.page import report_html
from olmix_core.storage.layout import REPORT_FILE
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import fit
from olmix_core.surrogate.settings import FitSettings

RUNS = 512


def large() -> SwarmData:
    """512 runs over the 64 leaves and 52 tasks of the released swarm."""
    released = load("all64")
    law = fit(released, FitSettings(family="diminishing_returns"))
    random = np.random.default_rng(0)
    between = 0.5 * (released.X + np.roll(released.X, 1, axis=0))
    x = np.vstack([released.X, between])[:RUNS]
    y = law.predict(x) + random.normal(size=(len(x), len(law.tasks))) * law.noise(x)
    return SwarmData(x, y, tuple(f"r{k:03d}" for k in range(len(x))), released.leaves, released.tasks)


def fitted(evidence: SwarmData, folder: Path) -> Path:
    """The folder that `olmix fit` writes for the evidence."""
    folder.mkdir()
    runs = pd.Index(evidence.runs, name="run")
    pd.DataFrame(evidence.X, runs, list(evidence.leaves)).to_csv(folder / "ratios.csv")
    pd.DataFrame(evidence.Y, runs, list(evidence.tasks)).to_csv(folder / "metrics.csv")
    natural = evidence.X.mean(axis=0) + 1e-6
    config = {
        "swarm": {name: str(folder / f"{name}.csv") for name in ("ratios", "metrics")},
        "priors": {"token_counts": dict(zip(evidence.leaves, (natural * 2e12).tolist(), strict=True))},
        "regression": {"type": "diminishing_returns"},
        "constraints": {"enabled": True, "target_tokens": 1e12, "repetition_factor": 4.0},
    }
    (folder / "fit.yaml").write_text(yaml.safe_dump(config))
    fit_published(folder / "fit.yaml", folder / "out")
    return folder / "out"


def measure(folder: Path) -> dict[str, float]:
    """Seconds to make the page in a fresh process, with and without imports, and its size in MB."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bench_report", "--make", str(folder)],
        check=True,
        capture_output=True,
        text=True,
    )
    whole = time.perf_counter() - began
    seconds, cpu = map(float, done.stdout.split())
    size = (folder / REPORT_FILE).stat().st_size / 1e6
    return {"seconds": seconds, "cpu_seconds": cpu, "process_seconds": whole, "megabytes": size}


def make(folder: Path) -> None:
    began, cpu = time.perf_counter(), time.process_time()
    (folder / REPORT_FILE).write_bytes(report_html(load_folder(folder)))
    print(time.perf_counter() - began, time.process_time() - cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--make", metavar="FOLDER", help="only make the page of this folder (used by itself)")
    arguments = parser.parse_args()
    if arguments.make:
        make(Path(arguments.make))
        return
    if not SWARMS.exists():
        sys.exit(f"{SWARMS} is not there: the released swarms are needed")
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as aside:
        for name, evidence in (("dclm24", load("dclm24")), ("all64, 512 runs", large())):
            folder = fitted(evidence, Path(aside) / name.split(",")[0])
            size = {"leaves": len(evidence.leaves), "tasks": len(evidence.tasks), "runs": len(evidence.runs)}
            figures[name] = {**size, **measure(folder)}
    header = ("swarm", "leaves", "tasks", "runs", "seconds", "CPU seconds", "with start", "MB")
    table(header, [(name, *row.values()) for name, row in figures.items()])
    write("bench_report", {"figures": figures})


if __name__ == "__main__":
    main()
