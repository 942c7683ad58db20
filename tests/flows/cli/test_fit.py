"""The command `olmix fit`: what it says, and how it fails."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
import yaml
from typer.testing import CliRunner

from flows.cli import fit as fit_command
from olmix_core.errors import ConfigError

app = typer.Typer()
app.command()(fit_command.fit)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two CSV files of 30 runs over three domains, and a configuration that holds some out."""
    monkeypatch.setenv("COLUMNS", "160")
    random = np.random.default_rng(0)
    weights = random.dirichlet([0.7] * 3, 30)
    bpb = 0.6 + np.exp(weights @ np.array([[-1.0, 0.2], [0.1, -1.5], [0.0, 0.1]])) + random.normal(0, 0.005, (30, 2))
    runs = pd.Index([f"r{k}" for k in range(30)], name="run_id")
    pd.DataFrame(weights, runs, ["web", "code", "[math]"]).to_csv(tmp_path / "ratios.csv")
    pd.DataFrame(bpb, runs, ["reading", "coding"]).drop("r3").to_csv(tmp_path / "metrics.csv")
    path = tmp_path / "fit.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "swarm": {"ratios": "ratios.csv", "metrics": "metrics.csv"},
                "priors": {"token_counts": {"web": 6e9, "code": 3e9, "[math]": 1e9}},
                "regression": {"n_test": 5},
                "proposer": {"type": "simulation", "kl_reg": 0.05},
                "constraints": {"enabled": True, "target_tokens": 1e10},
            }
        )
    )
    return path


def test_what_it_says(config: Path) -> None:
    out = config.parent / "made" / "out"
    result = CliRunner().invoke(app, ["--config", str(config), "--output-dir", str(out)], catch_exceptions=False)
    assert result.exit_code == 0
    for words in (
        "log_linear: 24 runs, 3 domains, 2 tasks; 5 runs held out",
        "[math]",
        "gain over natural",
        "solver: optimal",
        "held out:",
        "1 run only in swarm.ratios, left out: r3",
        "proposer.type simulation is not used",
        "where this differs from the published tool",
        "mix.csv",
    ):
        assert words in " ".join(result.output.split())  # wherever the lines break
    assert (out / "mix.json").exists()


def test_a_task_whose_law_explodes_is_flagged_everywhere(config: Path) -> None:
    folder = config.parent
    random = np.random.default_rng(1)
    rare = np.linspace(0, 0.05, 30)
    shares = random.dirichlet([2.0] * 2, 30) * (1 - rare)[:, None]
    runs = pd.Index([f"r{k:02d}" for k in range(30)], name="run_id")
    weights = pd.DataFrame(np.column_stack([shares, rare]), runs, ["web", "code", "[math]"])
    weights.to_csv(folder / "ratios.csv")
    bpb = {"calm": 1.1 - 0.2 * shares[:, 0] + random.normal(0, 0.004, 30), "steep": 1 + np.exp(60 * rare - 1)}
    pd.DataFrame(bpb, runs).to_csv(folder / "metrics.csv")
    settings = yaml.safe_load(config.read_text())
    settings["priors"] = {"token_counts": {"web": 1e9, "code": 1e9, "[math]": 8e9}}
    config.write_text(yaml.safe_dump(settings))
    out = folder / "out"
    result = CliRunner().invoke(app, ["--config", str(config), "--output-dir", str(out)], catch_exceptions=False)
    reason = "its law leaves the measured range by more than its width at the natural mixture and the proposed mixture"
    output = " ".join(result.output.split())
    assert "task steep: its law leaves the measured range" in output
    assert reason in output
    assert "task calm" not in output
    record = json.loads((out / "mix.json").read_text())
    assert reason in record["flags"]["steep"]
    assert "calm" not in record["flags"]
    assert reason in (out / "report.html").read_text()
    [steep] = [task for task in record["tasks"] if task["name"] == "steep"]
    width = float(np.ptp(bpb["steep"]))
    assert steep["natural"] <= bpb["steep"].max() + width + 1e-6
    natural = record["predicted"]["natural"]
    assert natural["bpb"] < 20
    assert natural["high"] - natural["low"] > width  # the bound is no prediction


def test_published_behaviour(config: Path) -> None:
    out = config.parent / "out"
    arguments = ["--config", str(config), "--output-dir", str(out), "--published-behaviour"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "regularisation" not in result.output
    assert "a mixture is proposed although runs are held out" in result.output


def test_errors_of_users_leave_nothing_behind(config: Path) -> None:
    config.write_text(config.read_text().replace("web:", "wob:"))
    out = config.parent / "out"
    result = CliRunner().invoke(app, ["--config", str(config), "--output-dir", str(out)])
    assert isinstance(result.exception, ConfigError)
    assert "priors.token_counts.web" in str(result.exception)
    assert not out.exists()
