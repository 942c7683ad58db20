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

from olmix_core.surrogate import Evidence

SWARMS = Path(__file__).resolve().parents[2] / "shared" / "swarms"
NAMES = ("dclm24", "pdf22", "all64")

# MMLU subjects with their number of test questions, by group.
MMLU: dict[str, dict[str, int]] = {
    "stem": {
        "abstract_algebra": 100,
        "anatomy": 135,
        "astronomy": 152,
        "college_biology": 144,
        "college_chemistry": 100,
        "college_computer_science": 100,
        "college_mathematics": 100,
        "college_physics": 102,
        "computer_security": 100,
        "conceptual_physics": 235,
        "electrical_engineering": 145,
        "elementary_mathematics": 378,
        "high_school_biology": 310,
        "high_school_chemistry": 203,
        "high_school_computer_science": 100,
        "high_school_mathematics": 270,
        "high_school_physics": 151,
        "high_school_statistics": 216,
        "machine_learning": 112,
    },
    "humanities": {
        "formal_logic": 126,
        "high_school_european_history": 165,
        "high_school_us_history": 204,
        "high_school_world_history": 237,
        "international_law": 121,
        "jurisprudence": 108,
        "logical_fallacies": 163,
        "moral_disputes": 346,
        "moral_scenarios": 895,
        "philosophy": 311,
        "prehistory": 324,
        "professional_law": 1534,
        "world_religions": 171,
    },
    "social_sciences": {
        "econometrics": 114,
        "high_school_geography": 198,
        "high_school_government_and_politics": 193,
        "high_school_macroeconomics": 390,
        "high_school_microeconomics": 238,
        "high_school_psychology": 545,
        "human_sexuality": 131,
        "professional_psychology": 612,
        "public_relations": 110,
        "security_studies": 245,
        "sociology": 201,
        "us_foreign_policy": 100,
    },
    "other": {
        "business_ethics": 100,
        "clinical_knowledge": 265,
        "college_medicine": 173,
        "global_facts": 100,
        "human_aging": 223,
        "management": 103,
        "marketing": 234,
        "medical_genetics": 100,
        "miscellaneous": 783,
        "nutrition": 306,
        "professional_accounting": 282,
        "professional_medicine": 272,
        "virology": 166,
    },
}


def load(name: str) -> Evidence:
    """Evidence of one released swarm: 52 tasks, runs joined by id."""
    dropped = json.loads((SWARMS / "facts.json").read_text())["dropped_metrics"]
    labels = ["name", "index"]
    ratios = pd.read_csv(SWARMS / name / "ratios.csv").set_index("run").drop(columns=labels)
    metrics = pd.read_csv(SWARMS / name / "metrics.csv").set_index("run").drop(columns=labels)
    metrics = metrics.drop(columns=dropped, errors="ignore").loc[ratios.index]
    for group, subjects in MMLU.items():
        columns = [f"mmlu_{subject}:rc::olmes" for subject in subjects]
        questions = np.array(list(subjects.values()), dtype=float)
        average = metrics[columns].to_numpy() @ (questions / questions.sum())
        metrics = metrics.drop(columns=columns).assign(**{f"mmlu_{group}": average})
    return Evidence(
        X=ratios.to_numpy(dtype=float),
        Y=metrics.to_numpy(dtype=float),
        runs=tuple(ratios.index),
        leaves=tuple(ratios.columns),
        tasks=tuple(metrics.columns),
    )
