"""Updates of the domain set, with real training in small: what runs, what is kept, and what is carried over."""

import inspect
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from olmix_core.evidence import ledger
from olmix_core.storage.store import Store

Run = Callable[[Path], tuple[dict[str, Any], dict[str, int]]]
Edit = Callable[..., Path]
TASKS = 2
FIRST = 3 * (3 + 1)  # runs of the first swarm: three free leaves
ONE_CHANGED = 3 * (2 + 1)  # the kept ones together, and one leaf


@pytest.fixture
def edited(finished: Callable[..., Edit], tmp_path: Path) -> Edit:
    """A project that ran once with the default number of runs, and edits of its configuration."""
    lines = [inspect.getsource(module) for module in (inspect, json, shutil)]
    (tmp_path / "extra.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in lines))
    return finished(swarm={"min_strength": 1.0}, reuse={"strategy": "full_reuse"})


def ratios(record: dict[str, Any], *leaves: str) -> list[float]:
    weights = [record["weights"][leaf] for leaf in leaves]
    return [weight / sum(weights) for weight in weights]


def add(config: dict[str, Any]) -> None:
    config["domains"].append({"name": "extra", "paths": "extra.jsonl"})


def test_an_added_domain_trains_only_its_own_small_swarm(run: Run, edited: Edit) -> None:
    before, _ = run(edited())
    record, executed = run(edited(add))
    assert executed == {
        "statistics": 1,
        "overlap": 1,
        "plan": 1,
        "swarm": 1,
        "train": ONE_CHANGED,
        # Everything new, and nothing of the proxies on record, which know these tasks.
        "evaluate": ONE_CHANGED * TASKS,
        "evidence": 1,
        "fit": 1,
        "propose": 1,
        "publish": 1,
    }
    assert ratios(record, "code", "manual", "guide") == pytest.approx(
        ratios(before, "code", "manual", "guide"), abs=1e-9
    )
    assert record["change"] == {"code": "unchanged", "manual": "unchanged", "guide": "unchanged", "extra": "added"}
    assert record["proxies"]["carried_over"] == FIRST
    assert record["run"]["plan"]["reused"] == 3
    again, executed = run(edited())
    assert executed == {"publish": 1}
    assert again["version"] == record["version"]


def test_full_recomputation_frees_everything(run: Run, edited: Edit) -> None:
    def change(config: dict[str, Any]) -> None:
        add(config)
        config["reuse"] = {"strategy": "full_recompute"}

    record, executed = run(edited(change))
    assert executed["train"] == 3 * (4 + 1)
    assert record["plan"]["kept"] == []
    assert record["proxies"]["carried_over"] == 0


def test_partial_reuse_frees_what_is_named(run: Run, edited: Edit) -> None:
    def change(config: dict[str, Any]) -> None:
        add(config)
        config["reuse"] = {"strategy": "partial_reuse", "release": ["code"]}

    before, _ = run(edited())
    record, executed = run(edited(change))
    assert executed["train"] == 3 * (3 + 1)
    assert record["plan"]["kept"] == ["guide", "manual"]
    assert ratios(record, "manual", "guide") == pytest.approx(ratios(before, "manual", "guide"), abs=1e-9)


def test_auto_reports_the_coupling_of_every_kept_leaf(run: Run, edited: Edit) -> None:
    def change(config: dict[str, Any]) -> None:
        add(config)
        config["reuse"] = {"strategy": "auto"}

    record, executed = run(edited(change))
    coupling = record["plan"]["coupling"]
    assert {one["leaf"] for one in coupling["leaves"]} == {"code", "manual", "guide"}
    assert coupling["after"] <= coupling["before"]
    assert executed["train"] == 3 * (2 + len(coupling["released"]) + 1)
    # Evidence is kept rather than ratios; what keeping them would have given is told.
    assert record["plan"]["kept"] == []
    assert len(record["plan"]["columns"]) == 4
    assert sorted(len(column) for column in record["plan"]["reusable"])[-1] == 3 - len(coupling["released"])
    assert record["gain"]["over_full_reuse"]["bpb"] > -1e-3
    assert {one["runs"] for one in record["swarms"]} == {FIRST, executed["train"]}
    # The new domain is Python source, and so its text resembles the Python source that is known.
    shares = coupling["resembles"]["extra"]
    assert max(shares, key=lambda leaf: shares[leaf]) == "code"


def test_a_removed_domain_trains_nothing_and_keeps_the_ratios(run: Run, edited: Edit) -> None:
    def change(config: dict[str, Any]) -> None:
        config["domains"] = [domain for domain in config["domains"] if domain["name"] != "guide"]
        config["proposal"] = {"repetition": 1000}

    before, _ = run(edited())
    record, executed = run(edited(change))
    # The law is that of the same evidence, and so is cached too.
    assert executed == {"overlap": 1, "plan": 1, "propose": 1, "publish": 1}
    assert ratios(record, "code", "manual") == pytest.approx(ratios(before, "code", "manual"), abs=1e-9)


def test_auto_after_a_removal_trains_and_fits_nothing_and_frees_the_ratios(run: Run, edited: Edit) -> None:
    def change(config: dict[str, Any]) -> None:
        config["domains"] = [domain for domain in config["domains"] if domain["name"] != "guide"]
        config["proposal"] = {"repetition": 1000}
        config["reuse"] = {"strategy": "auto"}

    record, executed = run(edited(change))
    assert executed == {"overlap": 1, "plan": 1, "propose": 1, "publish": 1}
    assert record["plan"]["kept"] == []
    assert record["gain"]["over_full_reuse"]["bpb"] >= -1e-6


def test_after_a_removal_caps_hold_all_the_same(run: Run, edited: Edit) -> None:
    def change(config: dict[str, Any]) -> None:
        config["domains"] = [domain for domain in config["domains"] if domain["name"] != "guide"]
        config["proposal"] = {"repetition": 1.05}

    record, executed = run(edited(change))
    assert "train" not in executed
    total = sum(leaf["tokens"] - leaf["heldout_tokens"] for leaf in record["domain_set"])
    for leaf in record["domain_set"]:
        cap = 1.05 * (leaf["tokens"] - leaf["heldout_tokens"]) / total
        assert record["weights"][leaf["label"]] <= cap + 1e-12
    assert sum(record["weights"].values()) == pytest.approx(1, abs=1e-9)


def test_a_revised_domain_is_explored_and_its_old_runs_stay_evidence(run: Run, edited: Edit, tmp_path: Path) -> None:
    with (tmp_path / "guide.jsonl").open("a") as file:
        file.write(json.dumps({"text": "one more document, which changes this leaf " * 20}) + "\n")
    record, executed = run(edited())
    assert executed["statistics"] == 1
    assert "tokenizer" not in executed
    assert executed["train"] == ONE_CHANGED
    assert record["change"]["guide"] == "revised"
    assert record["proxies"]["carried_over"] == FIRST


def test_a_partition_translates_the_evidence_of_its_parent(run: Run, edited: Edit, tmp_path: Path) -> None:
    lines = (tmp_path / "guide.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "guide.jsonl").unlink()
    (tmp_path / "first.jsonl").write_text("".join(lines[: len(lines) // 2]))
    (tmp_path / "second.jsonl").write_text("".join(lines[len(lines) // 2 :]))

    def split(config: dict[str, Any]) -> None:
        config["domains"][2] = {
            "name": "guide",
            "partition_of": "guide",
            "topics": [{"name": "first", "paths": "first.jsonl"}, {"name": "second", "paths": "second.jsonl"}],
        }

    record, executed = run(edited(split))
    assert executed["statistics"] == 2
    assert executed["train"] == 3 * (3 + 1)
    assert record["change"] == {
        "code": "unchanged",
        "manual": "unchanged",
        "guide:first": "partitioned",
        "guide:second": "partitioned",
    }
    [parts] = record["splits"].values()
    assert sum(parts.values()) == pytest.approx(1)
    assert record["proxies"]["carried_over"] == FIRST


def test_no_proxy_is_measured_on_text_that_it_may_have_been_trained_on(run: Run, edited: Edit, tmp_path: Path) -> None:
    with (tmp_path / "manual.jsonl").open("a") as file:
        file.write(json.dumps({"text": "one more document, which changes this leaf " * 20}) + "\n")
    record, executed = run(edited())
    # Old proxies are measured anew on the new slice of `manual` only where they had nothing of the old leaf.
    [old] = next(iter(record["origins"].values()))
    evidence = ledger.pinned(Store(str(tmp_path / "store")), record["evidence"]).to_pylist()
    task = next(task["fingerprint"] for task in record["tasks"] if task["name"] == "manual")
    mixtures = {row["proxy"]: dict(row["mixture"]) for row in evidence}
    measured = {row["proxy"]: False for row in evidence}
    for row in evidence:
        measured[row["proxy"]] |= task in dict(row["bpb"])
    assert measured == {proxy: old not in mixture for proxy, mixture in mixtures.items()}
    assert not all(measured.values())
    assert executed["evaluate"] == sum(measured.values()) + ONE_CHANGED


def test_rename_and_reorder_execute_nothing(run: Run, edited: Edit) -> None:
    def change(config: dict[str, Any]) -> None:
        config["domains"].reverse()
        config["domains"][0]["name"] = "renamed"

    _, executed = run(edited(change))
    assert executed == {"publish": 1}


@pytest.mark.long
def test_a_record_outlives_five_more_updates(run: Run, edited: Edit, tmp_path: Path) -> None:
    run(edited())
    kept = (tmp_path / "store/mixes/test/v0001/mix.json").read_bytes()
    run(edited(add))
    with (tmp_path / "extra.jsonl").open("a") as file:
        file.write(json.dumps({"text": "a revision " * 50}) + "\n")
    run(edited())
    run(edited(lambda config: config["domains"].pop(0) and config["evaluation"]["tasks"].pop(0)))
    run(edited(lambda config: config["domains"][1].update(name="other")))
    last, _ = run(edited(lambda config: config.update(proposal={"kl": 0.5})))
    assert last["version"] == "v0006"
    assert (tmp_path / "store/mixes/test/v0001/mix.json").read_bytes() == kept
    assert last["proxies"]["carried_over"] + last["proxies"]["swarm"] >= FIRST
