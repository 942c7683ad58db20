"""`olmix fit`: laws, proposals and errors from published files, without the known defects of the published tool."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from olmix_core.errors import ProposalError
from olmix_core.interop.fit import PublishedFit, fit_published
from olmix_core.surrogate.cross_validation import Folds
from olmix_core.surrogate.fit import cross_validate
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.settings import FitSettings
from tests.support.published_swarm import DOMAINS, RUNS, Project, refused, run
from tests.support.tables import number

ROOT = Path(__file__).resolve().parents[3]
SWARMS = ROOT.parent / "shared" / "swarms"
needs_swarms = pytest.mark.skipif(not SWARMS.exists(), reason="needs the released swarms in ../shared/swarms")


def test_fit_recovers_the_truth(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    fit = run(write(ratios, metrics, constraints={"enabled": False}, proposer={"kl_reg": 0.0}))
    objective = fit.diagnostics.loc["objective"]
    assert objective["spearman"] > 0.98
    assert objective["mae"] < 0.02
    truth = metrics.mean(axis=1)
    assert fit.record.predicted["proposed"].bpb < truth.min() + 0.02


@pytest.mark.parametrize("family", ["search", "bimix", "autoscale"])
def test_comparison_families(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame, family: str) -> None:
    fit = run(write(ratios, metrics, regression={"type": family, "seed": 3}), outputs={"trade_offs.csv"})
    assert fit.record.family == family
    assert fit.record.solver.gap is None
    assert (fit.table["weight"] <= fit.table["cap"] * (1 + 1e-12)).all()
    assert pd.read_csv(fit.output / "trade_offs.csv").empty


@pytest.mark.parametrize("family", ["diminishing_returns", "auto"])
def test_law_families(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame, family: str) -> None:
    fit = run(write(ratios, metrics, regression={"type": family}))
    assert fit.record.family in ("log_linear", "diminishing_returns")
    assert number(fit.diagnostics, "objective", "spearman") > 0.95


def test_a_law_under_a_shared_prior_is_cross_validated_as_such(
    write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame
) -> None:
    fit = run(write(ratios, metrics, regression={"type": "shared_prior"}))
    folds = Folds(5, fit.inputs.config.regression.seed)
    expected = cross_validate(fit.inputs.training, FitSettings(family="shared_prior"), folds=folds)
    np.testing.assert_allclose(fit.cross_validation.predicted, expected.predicted, atol=1e-9)


def test_rows_are_joined_by_run_id(
    default_fit: PublishedFit, write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame
) -> None:
    random = np.random.default_rng(2)
    rows, columns = random.permutation(RUNS), random.permutation(len(DOMAINS))
    shuffled = run(write(ratios.iloc[rows, columns], metrics.iloc[::-1, ::-1]))
    assert shuffled.table.equals(default_fit.table)
    assert shuffled.diagnostics.equals(default_fit.diagnostics)


def test_nothing_is_written_without_an_optimum(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    path = write(ratios, metrics, constraints={"target_tokens": 1e11})
    with refused(ProposalError, "no mixture is possible", "0.4"):
        run(path)
    assert not (path.parent / "out").exists()


def test_the_proposal_has_a_certificate(default_fit: PublishedFit) -> None:
    solver = default_fit.record.solver
    assert solver.status == "optimal"
    assert solver.gap is not None
    assert solver.gap < 1e-6
    assert solver.residual < 1e-8


def test_a_mixture_is_proposed_with_held_out_runs(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    fit = run(write(ratios, metrics, regression={"n_test": 10}), outputs={"held_out.csv"})
    assert fit.table["weight"].sum() == pytest.approx(1)
    assert fit.held_out is not None
    assert fit.record.evidence.to_json() == {"runs": 30, "held_out": 10, "domains": len(DOMAINS)}
    written = pd.read_csv(fit.output / "held_out.csv").set_index("task")
    assert written.loc["objective", "runs"] == 10
    assert number(written, "objective", "spearman") > 0.9
    assert any("held out" in line for line in fit.record.differences)


def test_an_empty_cell_does_not_change_other_tasks(
    default_fit: PublishedFit, write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame
) -> None:
    metrics.loc["r05", "coding"] = np.nan
    path = write(ratios, metrics)
    fit = run(path)
    assert "task coding: measured in 39 of 40 runs" in fit.record.notes
    assert isinstance(fit.surrogate, LawSurrogate)
    assert isinstance(default_fit.surrogate, LawSurrogate)
    for t in (1, 2):
        assert fit.surrogate.tasks[t] != "coding"
        assert fit.surrogate.parameters.v[t] == pytest.approx(default_fit.surrogate.parameters.v[t], abs=1e-9)
    coding = fit.diagnostics.loc["coding"]
    assert coding["runs"] == 39
    assert coding["spearman"] > 0.95
    published = run(path, published_behaviour=True)
    assert published.record.evidence.runs == 39


def test_a_task_missing_in_half_the_runs(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    metrics.loc[metrics.index[::2], "sums"] = np.nan
    fit = run(write(ratios, metrics))
    assert "task sums: measured in 20 of 40 runs" in fit.record.notes
    assert fit.diagnostics.at["sums", "runs"] == 20
    assert number(fit.diagnostics, "sums", "spearman") > 0.9
    best = fit.surrogate.predict(np.eye(len(DOMAINS)))[:, fit.surrogate.tasks.index("sums")]
    assert fit.surrogate.leaves[int(np.argmin(best))] == "math"


def released(name: str, folder: Path, **priors: Any) -> Path:
    """The configuration of a released swarm, as facts.json has it."""
    facts = json.loads((SWARMS / "facts.json").read_text())
    config = {
        "swarm": {key: str(SWARMS / name / f"{key}.csv") for key in ("ratios", "metrics")},
        "priors": {"relative_sizes": facts[name]["prior"], "token_counts": facts[name]["token_counts"], **priors},
        "regression": {"type": "log_linear", "train_split": facts[name].get("train_split", 1.0)},
        "proposer": {"type": "exact", "kl_reg": facts["kl_reg"]},
        "constraints": {
            "enabled": True,
            "target_tokens": facts["target_tokens"],
            "repetition_factor": facts["repetition_factor"],
        },
        "filtering": {"drop_metrics": facts["dropped_metrics"]},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@needs_swarms
@pytest.mark.long
@pytest.mark.parametrize(("name", "held_out"), [("dclm24", 63), ("pdf22", 0)])
def test_released_swarms(name: str, held_out: int, tmp_path: Path) -> None:
    fit = fit_published(released(name, tmp_path), tmp_path / "out", outputs=())
    assert len(fit.surrogate.tasks) == 52
    assert fit.record.evidence.runs == 64
    assert fit.record.evidence.held_out == held_out
    assert number(fit.diagnostics, "objective", "spearman") > 0.85
    gain = fit.record.gain["over_natural"]
    assert gain.bpb > 0
    # Of pdf22 two proxies would differ by more than the gain: its runs hardly differ at all.
    assert (gain.low > 0) == (name == "dclm24")
    assert (fit.table["epochs"] <= 4 + 1e-8).all()


@needs_swarms
@pytest.mark.parametrize(
    ("name", "runs", "published_behaviour", "flagged"),
    [
        pytest.param("dclm24", 64, False, ["drop:rc::gen2mc"], marks=pytest.mark.long),
        pytest.param(
            *("dclm24", 64, True, ["drop:rc::gen2mc", "squad:rc::gen2mc", "mmlu_humanities", "mmlu_other"]),
            marks=pytest.mark.long,
        ),
        pytest.param("dclm24", 33, False, [], marks=pytest.mark.long),
        ("pdf22", 12, False, []),
    ],
)
def test_no_held_out_run_is_predicted_far_beyond_what_was_measured(
    name: str, runs: int, published_behaviour: bool, flagged: list[str], tmp_path: Path
) -> None:
    path = released(name, tmp_path)
    text = path.read_text()
    config = {**yaml.safe_load(text), "regression": {"type": "log_linear", "train_split": runs}}
    path.write_text(yaml.safe_dump(config))
    fit = fit_published(path, tmp_path / "out", outputs=(), published_behaviour=published_behaviour)
    measured, held_out = fit.inputs.training.Y, fit.inputs.held_out
    assert held_out is not None
    width = np.ptp(measured, axis=0)
    predicted = fit.surrogate.predict(held_out.X)
    assert (predicted >= measured.min(axis=0) - width - 1e-6).all()
    assert (predicted <= measured.max(axis=0) + width + 1e-6).all()
    constant = np.abs(held_out.Y - measured.mean(axis=0)).mean()
    assert np.abs(predicted - held_out.Y).mean() < constant
    law = fit.surrogate.fitted_law
    assert law is not None
    beyond = law.beyond(held_out.X).any(axis=0)
    named = {task for task, reason in fit.record.flags.items() if "leaves the measured range" in reason}
    assert {fit.surrogate.tasks[t] for t in np.flatnonzero(beyond)} <= named
    assert set(flagged) <= named


@needs_swarms
def test_the_released_virtual_domain_is_capped_on_its_leaves(tmp_path: Path) -> None:
    facts = json.loads((SWARMS / "facts.json").read_text())
    inner = facts["pdf22"]["existing"]
    tokens = {**facts["pdf22"]["token_counts"], **{leaf: facts["all64"]["token_counts"][leaf] for leaf in inner}}
    path = released("pdf22", tmp_path, virtual_domains={"existing": inner}, token_counts=tokens)
    table = fit_published(path, tmp_path / "out", outputs=()).table.set_index("domain")
    assert len(table) == 64
    assert table["epochs"].max() <= 4 + 1e-8
    assert table.at["dclm:software_development", "at_cap"]
