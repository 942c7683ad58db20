"""A small swarm of a known log-linear truth in the files of the published tool."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pytest
import yaml

from olmix_core.errors import OlmixError
from olmix_core.interop.fit import PublishedFit, fit_published
from olmix_core.interop.fit_config import load_fit_config
from olmix_core.interop.swarm_csv import PublishedSwarm, read_swarm

Project: TypeAlias = Callable[..., Path]

DOMAINS = ("web:news", "web:blogs", "code:c", "code:go", "math")
TASKS = ("reading", "coding", "sums")
RUNS = 40


def make_ratios() -> pd.DataFrame:
    """A mixture per run, most of its weight on few domains."""
    weights = np.random.default_rng(0).dirichlet([0.6] * len(DOMAINS), RUNS)
    return pd.DataFrame(weights, index=[f"r{k:02d}" for k in range(RUNS)], columns=list(DOMAINS))


def make_metrics(ratios: pd.DataFrame) -> pd.DataFrame:
    """BPB of a log-linear truth: each task has a domain of its own that helps most."""
    slopes = np.array([[-1.5, -0.5, 0.3, 0.3, 0.0], [0.2, 0.2, -2.0, -1.0, -0.4], [0.1, 0.2, -0.4, 0.0, -1.5]])
    noise = np.random.default_rng(1).normal(0, 0.004, (RUNS, len(TASKS)))
    return pd.DataFrame(0.5 + np.exp(ratios.to_numpy() @ slopes.T) + noise, ratios.index, list(TASKS))


def write_project(
    folder: Path, ratios: pd.DataFrame, metrics: pd.DataFrame, /, *, id: str = "run", **changes: Any
) -> Path:
    """Write both CSV files and a configuration, and return its path.

    changes: section={field: value}; the fields of a section are added to the ones below, and None removes a section.
    """
    for name, table in (("ratios", ratios), ("metrics", metrics)):
        table.rename_axis(id).to_csv(folder / f"{name}.csv")
    config: dict[str, Any] = {
        "swarm": {"ratios": "ratios.csv", "metrics": "metrics.csv"},
        "priors": {
            "relative_sizes": dict(zip(DOMAINS, (0.4, 0.3, 0.1, 0.05, 0.15), strict=True)),
            "token_counts": dict(zip(DOMAINS, (4e9, 3e9, 1e9, 5e8, 1.5e9), strict=True)),
        },
        "constraints": {"enabled": True, "target_tokens": 10_000_000_000, "repetition_factor": 4.0},
        "proposer": {"kl_reg": 0.05},
    }
    for section, fields in changes.items():
        config[section] = fields if fields is None else {**config.get(section, {}), **fields}
    path = folder / "fit.yaml"
    path.write_text(yaml.safe_dump({name: value for name, value in config.items() if value is not None}))
    return path


def read(path: Path) -> PublishedSwarm:
    """The swarm of a configuration."""
    return read_swarm(path, load_fit_config(path), complete_only=False)


def run(path: Path, **settings: Any) -> PublishedFit:
    """Fit a configuration; no file is written unless `outputs` asks for it."""
    return fit_published(path, path.parent / "out", **{"outputs": (), **settings})


def refused(kind: type[OlmixError], *words: str) -> Any:
    """Expect an error of `kind` whose message contains all `words`."""
    return pytest.raises(kind, match="".join(f"(?=.*{word})" for word in words))
