"""Files that a fit writes."""

import json

import pandas as pd
import pytest

from olmix_core.interop.fit import ALL_OUTPUTS
from olmix_core.mixes.record import FitRecord, parse_record
from tests.support.published_swarm import DOMAINS, RUNS, TASKS, Project, run


def test_files_of_a_fit(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    fit = run(write(ratios, metrics), outputs=ALL_OUTPUTS)
    out = fit.output
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in fit.files)

    table = pd.read_csv(out / "mix.csv").set_index("domain")
    columns = "tokens natural weight ratio sequences epochs cap at_cap shadow_price per_billion_tokens previous"
    assert list(table.columns) == columns.split()
    assert table["weight"].sum() == pytest.approx(1)
    assert (table["epochs"] <= 4 * (1 + 1e-9)).all()
    assert table.at["math", "cap"] == pytest.approx(4 * 1.5e9 / 1e10)
    assert table["epochs"].to_numpy() == pytest.approx((table["weight"] * 1e10 / table["tokens"]).to_numpy(), rel=1e-4)
    assert table["sequences"].sum() * 4096 == pytest.approx(1e10, rel=1e-6)
    curves = pd.read_csv(out / "trade_offs.csv")
    assert curves[curves["asked"]]["parameter"].tolist() == ["kl", "repetition", "target_tokens"]

    record = parse_record(json.loads((out / "mix.json").read_text()), "mix.json")
    assert isinstance(record, FitRecord)
    assert record.weights == pytest.approx(table["weight"].to_dict())
    assert set(record.predicted) == {"natural", "proposed"}
    assert record.gain["over_natural"].low > 0
    gain = record.predicted["natural"].bpb - record.predicted["proposed"].bpb
    assert record.gain["over_natural"].bpb == pytest.approx(gain)
    assert record.evidence.to_json() == {"runs": RUNS, "held_out": 0, "domains": len(DOMAINS)}

    surrogate = json.loads((out / "surrogate.json").read_text())
    assert surrogate["domains"] == [{"label": name, "fingerprint": None} for name in sorted(DOMAINS)]
    assert set(surrogate["tasks"]) == set(TASKS)
    assert set(pd.read_csv(out / "diagnostics.csv")["task"]) == {*TASKS, "objective"}
    for name in ("predicted_vs_measured", "mixture", "effects", "trade_offs"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_only_requested_outputs_are_written(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    path = write(ratios, metrics)
    fit = run(path, outputs={"report.html"})
    names = "mix.csv mix.json surrogate.json diagnostics.csv runs.parquet trade_offs.csv report.html"
    assert {file.name for file in fit.files} == set(names.split())
    assert {file.name for file in fit.output.iterdir()} == set(names.split())
    assert not list(run(path).output.iterdir())
    with pytest.raises(ValueError, match=r"found the output 'mix.yaml'; expected some of mix.csv, surrogate.json"):
        run(path, outputs={"mix.yaml"})


def test_files_of_an_earlier_fit_are_removed(write: Project, ratios: pd.DataFrame, metrics: pd.DataFrame) -> None:
    run(write(ratios, metrics, regression={"n_test": 5}), outputs={"held_out.csv"})
    out = run(write(ratios, metrics)).output
    assert not (out / "held_out.csv").exists()
    assert not list(out.glob(".new-*"))
