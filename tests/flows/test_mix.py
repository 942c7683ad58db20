"""The flow, whole and real in small: what is executed and what is cached after each kind of change."""

import io
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from olmix_core.errors import DivergenceError
from olmix_core.evidence import ledger
from olmix_core.storage.store import Store
from tasks.runtime import progress

Project = Callable[..., Path]
Run = Callable[[Path], tuple[dict[str, Any], dict[str, int]]]
Edit = Callable[..., Path]
LEAVES, RUNS, TASKS = 3, 6, 2


@pytest.fixture
def edited(finished: Callable[..., Edit]) -> Edit:
    """A project that ran once, and edits of its configuration: edited(change) -> path."""
    return finished()


def test_a_first_run_executes_everything_and_leaves_its_record(run_flow: Run, project: Project, tmp_path: Path) -> None:
    config = project(surrogate={})
    record, executed = run_flow(config)
    assert executed == {
        "tokenizer": 1,
        "statistics": LEAVES,
        "overlap": 1,
        "plan": 1,
        "swarm": 1,
        "train": RUNS,
        "evaluate": RUNS * TASKS,
        "evidence": 1,
        "fit": 1,
        "propose": 1,
        "publish": 1,
    }
    store = Store(str(tmp_path / "store"))
    folder = f"mixes/test/{record['version']}"
    assert store.read_json("mixes/test/latest.json") == {"version": "v0001"}
    assert set(store.list(folder)) == {
        "mix.csv",
        "mix.json",
        "surrogate.json",
        "diagnostics.csv",
        "trade_offs.csv",
        "plan.json",
        "runs.parquet",
        "report.html",
    }
    table = pd.read_csv(io.BytesIO(store.read_bytes(f"{folder}/mix.csv")))
    columns = "domain tokens natural weight ratio sequences epochs cap at_cap shadow_price per_billion_tokens previous"
    assert list(table) == columns.split()
    assert table["sequences"].sum() * 4096 == record["run_tokens"] <= record["target_tokens"]
    assert (table["epochs"] <= 4).all()
    curves = pd.read_csv(io.BytesIO(store.read_bytes(f"{folder}/trade_offs.csv")))
    assert set(curves["parameter"]) == {"kl", "repetition", "target_tokens"}
    asked = curves[curves["asked"]]
    assert asked["bpb"].to_numpy() == pytest.approx(record["predicted"]["proposed"]["bpb"], abs=1e-6)
    assert abs(table["weight"].sum() - 1) < 1e-9
    assert abs(table["natural"].sum() - 1) < 1e-9
    assert (table["weight"] <= table["cap"]).all()
    assert set(table["domain"]) == {"code", "manual", "guide"}
    assert dict(zip(table["domain"], table["weight"], strict=True)) == pytest.approx(record["weights"], abs=1e-15)
    surrogate = store.read_json(f"{folder}/surrogate.json")
    assert set(surrogate["tasks"]) == {"code", "manual"}
    assert {domain["label"] for domain in surrogate["domains"]} == {"code", "manual", "guide"}
    diagnostics = pd.read_csv(io.BytesIO(store.read_bytes(f"{folder}/diagnostics.csv")))
    assert set(diagnostics["task"]) == {"code", "manual", "objective"}
    assert store.list("evidence/sets") == [f"{record['evidence']}.parquet"]
    rows = ledger.pinned(store, record["evidence"]).to_pylist()
    assert len(rows) == RUNS
    fingerprints = {domain["fingerprint"] for domain in record["domain_set"]}
    for row in rows:
        assert sum(weight for _, weight in row["mixture"]) == pytest.approx(1, abs=1e-9)
        assert {leaf for leaf, _ in row["mixture"]} <= fingerprints
        assert len(row["bpb"]) == TASKS
        assert row["swarm"] == record["keys"]["swarm"][0]
        assert (row["source"], row["imported"], row["seed"], row["tokens"]) == ("test@v0001", False, 0, 2048)
        assert set(dict(row["labels"]).values()) <= {"code", "manual", "guide"}
    assert not list((tmp_path / "store").rglob("*.pkl"))


def test_a_first_fit_knows_the_sources(run: Run, project: Project, tmp_path: Path) -> None:
    topics = [{"name": name, "paths": f"{name}.jsonl"} for name in ("manual", "guide")]
    domains = [{"name": "code", "paths": "code.jsonl"}, {"name": "docs", "topics": topics}]
    record, _ = run(project(domains=domains, evaluation={"tasks": [{"heldout": "code"}]}))
    contents = {leaf["label"]: leaf["fingerprint"] for leaf in record["domain_set"]}
    prior = Store(str(tmp_path / "store")).read_json(f"mixes/test/{record['version']}/surrogate.json")["pool"]
    assert prior["sources"] == [sorted(contents[f"docs:{name}"] for name in ("manual", "guide"))]
    assert record["swarms"] == []


def test_a_second_run_executes_nothing_but_publish(run_flow: Run, edited: Edit) -> None:
    record, executed = run_flow(edited())
    assert executed == {"publish": 1}
    assert record["version"] == "v0001"


def test_results_of_a_flow_are_those_of_a_run_in_this_process(run: Run, run_flow: Run, project: Project) -> None:
    config = project()
    first, _ = run_flow(config)
    second, executed = run(config)
    assert executed == {"publish": 1}
    assert second["version"] == first["version"]


def test_another_kl_only_proposes(run: Run, edited: Edit) -> None:
    record, executed = run(edited(lambda config: config.update(proposal={"kl": 1.0})))
    assert executed == {"propose": 1, "publish": 1}
    assert (record["version"], record["parent"]) == ("v0002", "v0001")
    assert "previous" in record["predicted"]
    assert "over_previous" in record["gain"]


def test_another_task_is_evaluated_but_no_proxy_trains(run: Run, edited: Edit) -> None:
    _, executed = run(edited(lambda config: config["evaluation"]["tasks"].append({"file": "task.jsonl"})))
    assert executed == {"overlap": 1, "evaluate": RUNS, "evidence": 1, "fit": 1, "propose": 1, "publish": 1}


def test_other_task_weights_only_propose(run: Run, edited: Edit) -> None:
    _, executed = run(edited(lambda config: config["evaluation"]["tasks"][0].update(weight=3.0)))
    assert executed == {"propose": 1, "publish": 1}


def test_names_and_order_are_labels(run: Run, edited: Edit) -> None:
    def rename(config: dict[str, Any]) -> None:
        config["domains"].reverse()
        config["domains"][0]["name"], config["domains"][1]["name"] = "renamed", "also renamed"
        config["evaluation"]["tasks"] = [{"heldout": "also renamed", "name": "m"}, {"heldout": "code"}]

    before, _ = run(edited())
    record, executed = run(edited(rename))
    assert executed == {"publish": 1}
    assert sorted(record["weights"].values()) == sorted(before["weights"].values())
    assert set(record["weights"]) == {"renamed", "also renamed", "code"}


def test_a_touched_file_is_the_same_file(run: Run, edited: Edit, tmp_path: Path) -> None:
    os.utime(tmp_path / "code.jsonl", (time.time() - 5000, time.time() - 5000))
    shutil.move(tmp_path / "guide.jsonl", tmp_path / "moved.jsonl")
    _, executed = run(edited(lambda config: config["domains"][2].update(paths="moved.jsonl")))
    assert executed == {"publish": 1}


def test_one_changed_leaf_is_counted_anew_and_the_tokenizer_stays(run: Run, edited: Edit, tmp_path: Path) -> None:
    before, _ = run(edited())
    with (tmp_path / "guide.jsonl").open("a") as file:
        file.write(json.dumps({"text": "one more document, which changes this leaf " * 20}) + "\n")
    record, executed = run(edited())
    assert executed["statistics"] == 1
    assert "tokenizer" not in executed
    assert record["tokenizer"]["fingerprint"] == before["tokenizer"]["fingerprint"]


def test_more_runs_keep_the_first_ones(run: Run, edited: Edit) -> None:
    _, executed = run(edited(lambda config: config["swarm"].update(runs=RUNS + 2)))
    assert executed["train"] == 2
    assert executed["evaluate"] == 2 * TASKS


def test_the_same_config_elsewhere_gives_the_same_keys_and_mixture(run: Run, project: Project, tmp_path: Path) -> None:
    first, _ = run(project())
    elsewhere = project("other.yaml", store="other")
    second, executed = run(elsewhere)
    assert executed["train"] == RUNS
    assert second["identity"] == first["identity"]
    assert second["weights"] == first["weights"]
    keys = [{path.name for path in (tmp_path / store / "proxies").iterdir()} for store in ("store", "other")]
    assert keys[0] == keys[1]


def test_a_diverging_proxy_stops_the_run_by_name_and_loses_nothing(run_flow: Run, project: Project) -> None:
    config = project(proxy={**yaml.safe_load(project().read_text())["proxy"], "learning_rate": 1e9})
    with pytest.raises(DivergenceError, match=r"6 of 6 proxies diverged; .*smaller proxy\.learning_rate"):
        run_flow(config)
    assert progress.current().accounting()["statistics"] == {"executed": LEAVES, "cached": 0, "reused": 0}
    # It would diverge again: that is on record, and the next time it is told before anything is spent.
    with pytest.raises(DivergenceError):
        run_flow(config)
    assert progress.current().accounting() == {}


def test_a_tampered_result_is_not_read_but_made_again(run_flow: Run, edited: Edit, tmp_path: Path) -> None:
    [result] = [path for path in (tmp_path / "store/cache/propose").iterdir() if "payload" not in path.name]
    content = json.loads(result.read_text())
    content["metadata"]["serializer"] = {"type": "pickle"}
    content["result"] = "gASVHQAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAR0cnVllIWUUpQu"
    result.write_text(json.dumps(content))
    _, executed = run_flow(edited())
    assert executed == {"propose": 1, "publish": 1}
    assert json.loads(result.read_text())["metadata"]["serializer"]["type"] == "json"
