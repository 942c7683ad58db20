"""Reads the released proxy swarms, for the benchmarks.

A swarm folder holds `ratios.csv` (a mixture per run) and `metrics.csv` (bits per byte of that run
on each task); both have the columns run, name and index. The 57 MMLU subjects are averaged to four
groups by number of questions (Hendrycks et al. 2021), and the metrics that facts.json leaves out
are dropped: 52 tasks remain.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from olmix_core.data.mmlu import GROUPS
from olmix_core.surrogate.data import SwarmData

SWARMS = Path(__file__).resolve().parents[2] / "shared" / "swarms"
NAMES = ("dclm24", "pdf22", "all64")


def load(name: str) -> SwarmData:
    """Evidence of one released swarm: 52 tasks, runs joined by id."""
    dropped = json.loads((SWARMS / "facts.json").read_text())["dropped_metrics"]
    labels = ["name", "index"]
    ratios = pd.read_csv(SWARMS / name / "ratios.csv").set_index("run").drop(columns=labels)
    metrics = pd.read_csv(SWARMS / name / "metrics.csv").set_index("run").drop(columns=labels)
    metrics = metrics.drop(columns=dropped, errors="ignore").loc[ratios.index]
    for group, subjects in GROUPS.items():
        columns = [f"mmlu_{subject}:rc::olmes" for subject in subjects]
        questions = np.array(list(subjects.values()), dtype=float)
        average = metrics[columns].to_numpy() @ (questions / questions.sum())
        metrics = metrics.drop(columns=columns).assign(**{group: average})
    return SwarmData(
        X=ratios.to_numpy(dtype=float),
        Y=metrics.to_numpy(dtype=float),
        runs=tuple(ratios.index),
        leaves=tuple(ratios.columns),
        tasks=tuple(metrics.columns),
    )
