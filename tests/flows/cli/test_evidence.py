"""The commands `olmix evidence ...`, as they are typed."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from flows.cli.evidence import evidence
from olmix_core.errors import ConfigError, DataError
from olmix_core.interop.fit import fit_published
from olmix_core.storage.store import Store

RUNS = 20


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A swarm of two CSV files and a map, in the working directory."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    weights = random.dirichlet([0.7] * 3, RUNS)
    bpb = 0.6 + np.exp(weights @ np.array([[-1.0, 0.2], [0.1, -1.5], [0.0, 0.1]])) + random.normal(0, 0.005, (RUNS, 2))
    runs = pd.Index([f"r{k}" for k in range(RUNS)], name="run")
    pd.DataFrame(weights, runs, ["web", "code", "math"]).to_csv("ratios.csv")
    pd.DataFrame(bpb, runs, ["reading", "coding"]).to_csv("metrics.csv")
    said = {"name": "theirs", "recipe": {"declared": "1B"}, "tokenizer": {"declared": "t"}}
    Path("map.yaml").write_text(yaml.safe_dump({**said, "domains": "declared", "tasks": "declared"}))
    return tmp_path


def typed(*arguments: str) -> str:
    result = CliRunner().invoke(evidence, [*arguments, "--store", "store"], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_in_listed_compacted_and_out_again(files: Path) -> None:
    said = typed("import", "ratios.csv", "metrics.csv", "--domains", "map.yaml")
    assert said == "20 proxies of theirs are on record: 3 domains, 2 tasks; 5 of both are known by their label only\n"
    found = json.loads(typed("import", "ratios.csv", "metrics.csv", "--domains", "map.yaml", "--json"))
    assert (found["proxies"], found["already"]) == (RUNS, RUNS)
    assert len(Store("store").list("evidence")) == 1

    table = typed("list")
    assert "theirs" in table
    assert "(imported)" in table
    [row] = json.loads(typed("list", "--json"))
    assert (row["swarm"], row["source"], row["proxies"], row["domains"], row["tasks"], row["tokens"]) == (
        "theirs",
        "ratios.csv",
        RUNS,
        3,
        2,
        None,
    )
    assert json.loads(typed("list", "--json", "--swarm", "ours")) == []
    assert json.loads(typed("list", "--json", "--recipe", row["recipe"][:8])) == [row]

    text = Path("map.yaml").read_text()
    Path("map.yaml").write_text(text.replace("theirs", "theirs-too").replace("1B", "2B"))
    typed("import", "ratios.csv", "metrics.csv", "--domains", "map.yaml")
    assert json.loads(typed("compact", "--json")) == {"files": 2, "rows": 2 * RUNS, "copies": 0}
    assert typed("compact") == "nothing to do: 40 rows in 1 files\n"

    assert "20 proxies written to out: ratios.csv" in typed("export", "-o", "out", "--recipe", row["recipe"])
    for name in ("ratios.csv", "metrics.csv"):
        old, new = (pd.read_csv(path / name) for path in (files, files / "out"))
        columns = sorted(set(map(str, old)) - {"run"})
        assert sorted(set(map(str, new)) - {"run", "name", "index"}) == columns
        np.testing.assert_allclose(
            new[columns].sort_values(columns).to_numpy(), old[columns].sort_values(columns).to_numpy(), atol=1e-12
        )


def test_labels_that_nearly_are_on_record_are_told(files: Path) -> None:
    typed("import", "ratios.csv", "metrics.csv", "--domains", "map.yaml")
    lines = Path("ratios.csv").read_text().splitlines(keepends=True)
    Path("ratios.csv").write_text("".join([lines[0].replace(",", ", "), *lines[1:]]))
    again = typed("import", "ratios.csv", "metrics.csv", "--domains", "map.yaml")
    assert again.startswith("20 proxies of theirs are on record, 20 of them were before: ")
    Path("ratios.csv").write_text("".join([lines[0].replace("code", "Code"), *lines[1:]]))
    other = typed("import", "ratios.csv", "metrics.csv", "--domains", "map.yaml")
    assert "note: 'Code' is not 'code', which is on record: they differ by white space or case only" in other


def test_exported_files_are_what_olmix_fit_reads(files: Path) -> None:
    typed("import", "ratios.csv", "metrics.csv", "--domains", "map.yaml")
    typed("export", "-o", "out")
    found = []
    for folder in (files, files / "out"):
        swarm = {"ratios": str(folder / "ratios.csv"), "metrics": str(folder / "metrics.csv")}
        priors = {"token_counts": {"web": 6e9, "code": 3e9, "math": 1e9}}
        Path("fit.yaml").write_text(yaml.safe_dump({"swarm": swarm, "priors": priors}))
        found.append(fit_published(Path("fit.yaml"), files / "fitted", outputs=()))
    weights = [fit.table.set_index("domain")["weight"].sort_index() for fit in found]
    np.testing.assert_allclose(weights[1], weights[0], atol=1e-6)


def test_errors_of_users_write_nothing(files: Path) -> None:
    Path("map.yaml").write_text(Path("map.yaml").read_text().replace("name: theirs", "name: Their Swarm"))
    with pytest.raises(ConfigError, match="name: found 'Their Swarm'"):
        typed("import", "ratios.csv", "metrics.csv", "--domains", "map.yaml")
    assert not Path("store").exists()
    with pytest.raises(DataError, match=r"found 0 proxies on record and none that matches \(--swarm x\)"):
        typed("export", "-o", "out", "--swarm", "x")
    assert not Path("out").exists()
    assert "found no matching evidence" in typed("list")
    assert not Path("store").exists()
