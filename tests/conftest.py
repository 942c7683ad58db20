"""Shared by all tests: small domains of real text, and Prefect's own server for the tests that run flows."""

import hashlib
import inspect
import json
import os
import pydoc_data.topics
import shutil
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import settings

from flows.execution import prefect_settings
from olmix_core.config.config import Config
from olmix_core.config.load import load_config
from tasks.runtime import progress
from tests.support import session

prefect_settings.prepare()

# Without deadlines: the machine may be busy. make properties takes the profile with more examples.
settings.register_profile("dev", deadline=None, max_examples=25)
settings.register_profile("ci", deadline=None, max_examples=200)
settings.load_profile("dev")

STDLIB = Path(sysconfig.get_paths()["stdlib"])


@pytest.fixture(scope="session", autouse=True)
def _cache_dir(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["OLMIX_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _a_run_of_its_own() -> Iterator[None]:
    """What one test stops stays stopped for that test only."""
    from olmix_core.workers.cancellation import until_stopped

    with until_stopped():
        yield


def pytest_configure(config: pytest.Config) -> None:
    """Begin the session in the process that starts the others, which inherit its environment."""
    if not hasattr(config, "workerinput"):
        session.begin()
        os.environ["PREFECT_HOME"] = str(session.folder() / "prefect")


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the session in the process that began it, after all others."""
    if not hasattr(config, "workerinput"):
        session.end()


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A Prefect server of the tests' own, one for all processes of the session."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: session.server_address()}):
        yield


@pytest.fixture(scope="session")
def texts() -> dict[str, list[str]]:
    """Real text by kind, from what every Python ships: code and two kinds of prose, with different contents."""
    modules = [STDLIB / f"{name}.py" for name in ("argparse", "ast", "datetime", "difflib", "shutil", "tarfile")]
    code = [module.read_text() for module in modules]
    topics = [inspect.cleandoc(text) for _, text in sorted(pydoc_data.topics.topics.items())]
    return {"code": code, "manual": topics[::2], "guide": topics[1::2]}


@pytest.fixture
def project(tmp_path: Path, texts: dict[str, list[str]]) -> Callable[..., Path]:
    """Make a folder with data and a configuration: project(**changes) -> path of mix.yaml.

    `changes` replace top-level fields of the configuration; None removes one.
    """
    for name, documents in texts.items():
        lines = "".join(json.dumps({"text": document}) + "\n" for document in documents)
        (tmp_path / f"{name}.jsonl").write_text(lines)
    items = [{"context": f"def f{i}(x):\n", "continuation": f"    return x + {i}\n"} for i in range(4)]
    (tmp_path / "task.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))

    def make(file: str = "mix.yaml", **changes: Any) -> Path:
        config: dict[str, Any] = {
            "name": "test",
            "store": "store",
            "domains": [{"name": name, "paths": f"{name}.jsonl"} for name in texts],
            "tokenizer": {"vocab_size": 512},
            "proxy": {
                "layers": 1,
                "width": 16,
                "heads": 1,
                "sequence_length": 32,
                "batch_size": 2,
                "tokens": 2048,
            },
            "evaluation": {"tasks": [{"heldout": "code"}, {"heldout": "manual"}]},
            "swarm": {"runs": 6, "min_strength": 1.0},
            "surrogate": {"family": "log_linear"},
        }
        config.update(changes)
        path = tmp_path / file
        path.write_text(yaml.safe_dump({k: v for k, v in config.items() if v is not None}))
        return path

    return make


Run = Callable[[Path], tuple[dict[str, Any], dict[str, int]]]


def _counted(path: Path, run_mix: Callable[[Config, str], dict[str, Any]]) -> tuple[dict[str, Any], dict[str, int]]:
    tracked = progress.begin()
    record = run_mix(load_config(path), str(path))
    counts = tracked.accounting()
    return record, {step: n["executed"] for step, n in counts.items() if n["executed"]}


@pytest.fixture(scope="session")
def run() -> Run:
    """Run a configuration in this process: run(path) -> mix.json, and how many results each step executed.

    Steps that executed nothing are left out.
    """
    from tests.support.inline_executor import run_inline

    return lambda path: _counted(path, run_inline)


@pytest.fixture(scope="session")
def run_flow(prefect_server: None) -> Run:
    """The same through the flow and Prefect's engine."""
    from flows.mix import run_mix

    return lambda path: _counted(path, lambda config, file: run_mix(config, file).to_json())


@pytest.fixture
def finished(project: Callable[..., Path], run: Run, tmp_path: Path) -> Callable[..., Callable[..., Path]]:
    """finished(**changes of the first configuration) -> edit; edit(change of the dictionary) -> path.

    The project ran once with its first configuration, whatever is edited afterwards; the processes of a session share
    the store of that run.
    """

    def begin(**changes: Any) -> Callable[..., Path]:
        path = project(**changes)
        with session.locked(f"finished-{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}") as folder:
            if (folder / "store").exists():
                shutil.copytree(folder / "store", tmp_path / "store")
            else:
                run(path)
                shutil.copytree(tmp_path / "store", folder / "new")
                (folder / "new").rename(folder / "store")

        def edit(change: Callable[[dict[str, Any]], object] = lambda config: None) -> Path:
            config = yaml.safe_load(path.read_text())
            change(config)
            path.write_text(yaml.safe_dump(config))
            return path

        return edit

    return begin


# Labels that would break a page, a table or a pattern that does not expect them.
SWARM_DOMAINS = ("web:news", "web:</script><script>blogs", "code:c", "math & [logic]")
SWARM_TASKS = ("read_news", "read_books", "coding")


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `olmix fit` wrote for a small swarm in two CSV files; tests only read it."""
    from olmix_core.interop.fit import fit_published

    folder = tmp_path_factory.mktemp("swarm")
    random = np.random.default_rng(0)
    weights = random.dirichlet([0.7] * len(SWARM_DOMAINS), 40)
    slopes = np.array([[-1.5, -0.5, 0.3, 0.0], [-0.3, -1.2, 0.2, 0.1], [0.2, 0.2, -2.0, -0.4]])
    bpb = 0.6 + np.exp(weights @ slopes.T) + random.normal(0, 0.01, (len(weights), len(SWARM_TASKS)))
    runs = pd.Index([f"r{k:02d}" for k in range(len(weights))], name="run")
    pd.DataFrame(weights, runs, list(SWARM_DOMAINS)).to_csv(folder / "ratios.csv")
    pd.DataFrame(bpb, runs, list(SWARM_TASKS)).to_csv(folder / "metrics.csv")
    config = {
        "swarm": {"ratios": str(folder / "ratios.csv"), "metrics": str(folder / "metrics.csv")},
        "priors": {"token_counts": dict(zip(SWARM_DOMAINS, (4e9, 3e9, 3e8, 2e9), strict=True))},
        "eval": {"type": "offline", "tasks": {"reading": ["read_news", "read_books"], "code": ["coding"]}},
        "constraints": {"enabled": True, "target_tokens": 8_000_000_000, "repetition_factor": 4.0},
        "filtering": {"obj_weights": {"coding": 2.0}},
    }
    (folder / "fit.yaml").write_text(yaml.safe_dump(config))
    fit_published(folder / "fit.yaml", folder / "out")
    return folder / "out"
