"""What a run learns from beside its own swarm: what the ledger says of the same thing, pinned by the record."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.reports.plan import EvidenceUse, Plan, make_plan
from olmix_core.config.load import load_config
from olmix_core.evidence import ledger
from olmix_core.evidence.pooling import RunIdentity
from olmix_core.evidence.rows import EvidenceRow, from_table
from olmix_core.storage.store import Store

Run = Callable[[Path], tuple[dict[str, Any], dict[str, int]]]
Edit = Callable[..., Path]
RUNS, TASKS = 6, 2


@pytest.fixture
def edited(finished: Callable[..., Edit]) -> Edit:
    """A mix that ran once with strategy auto, and edits of its configuration."""
    return finished()


def another(config: dict[str, Any]) -> None:
    """Another mix in the same store, over the same domains, with a swarm of its own."""
    config["name"] = "another"
    config["swarm"]["seed"] = 1


def planned(config: Path) -> Plan:
    return make_plan(load_config(config), str(config))


def elsewhere(row: EvidenceRow, proxy: str, **changes: Any) -> EvidenceRow:
    """A row like one on record, of a swarm of which this store has no proxies."""
    bpb = {task: value + 0.01 for task, value in row.bpb.items()}
    return replace(row, **{"proxy": proxy, "swarm": "elsewhere", "bpb": bpb, **changes})


def test_mix_learns_from_the_whole_ledger_and_a_second_run_is_cached(run: Run, edited: Edit, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    config = edited(another)
    [*rows] = from_table(ledger.read(store))
    strange = [
        elsewhere(rows[0], "q1", recipe={"layers": 9}),
        elsewhere(rows[0], "q2", tokenizer="other"),
        elsewhere(rows[0], "q3", evaluation=99),
        elsewhere(rows[0], "q4", bpb={"another task": 1.0}),
        elsewhere(rows[0], "q5", mixture={"other content": 1.0}),
    ]
    ledger.append(store, strange)
    plan = planned(config)
    reasons = {
        "another recipe": 1,
        "another tokenizer": 1,
        "measured by another version of the evaluation": 1,
        "no task in common": 1,
        "no content in common": 1,
    }
    assert plan.evidence == EvidenceUse(carried_over=RUNS, pooled=RUNS, left_out=reasons)
    assert "the law learns from 6 proxies of other swarms on record as well" in plan.notes
    record, executed = run(config)
    assert executed["train"] == RUNS
    assert executed["evaluate"] == RUNS * TASKS
    assert record["base"] is None
    assert {name: record["proxies"][name] for name in ("swarm", "carried_over", "pooled", "left_out")} == {
        "swarm": RUNS,
        "carried_over": RUNS,
        "pooled": RUNS,
        "left_out": reasons,
    }
    fitted = from_table(ledger.pinned(store, record["evidence"]))
    assert {row.source for row in fitted} == {"test@v0001", "another@v0001"}
    assert len({row.swarm for row in fitted}) == 2
    assert {row.proxy for row in fitted} == {row.proxy for row in rows} | set(record["keys"]["train"])

    # The ledger grows by itself, and is compacted: what was asked is the same, and so is the answer.
    ledger.append(store, [elsewhere(rows[1], "later")])
    ledger.compact(store)
    plan = planned(config)
    assert not plan.pending
    assert plan.evidence.pooled == RUNS
    [note] = [note for note in plan.notes if "recorded since" in note]
    assert note.startswith("1 proxy recorded since could be used too")
    again, executed = run(config)
    assert executed == {"publish": 1}
    assert (again["version"], again["weights"]) == ("v0001", record["weights"])

    # An import is a wish: it is used at once, and nothing is trained or measured for it.
    ledger.append(store, [elsewhere(rows[2], "imported", evaluation=0, imported=True)])
    after, executed = run(config)
    assert executed == {"evidence": 1, "fit": 1, "propose": 1, "publish": 1}
    assert after["proxies"]["pooled"] == RUNS + 2
    assert run(config)[1] == {"publish": 1}

    # Another wish of the same evidence looks at nothing new.
    record, executed = run(edited(lambda config: config.update(proposal={"kl": 0.5})))
    assert executed == {"propose": 1, "publish": 1}
    assert record["evidence"] == after["evidence"]


def test_strategies_of_the_paper_use_only_evidence_of_earlier_versions(run: Run, edited: Edit, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    [*rows] = from_table(ledger.read(store))
    ledger.append(store, [elsewhere(rows[0], "q1"), elsewhere(rows[1], "q2")])

    def drop(strategy: str) -> Callable[[dict[str, Any]], None]:
        def change(config: dict[str, Any]) -> None:
            config["domains"] = [domain for domain in config["domains"] if domain["name"] != "guide"]
            config["reuse"] = {"strategy": strategy}
            config["proposal"] = {"repetition": 1000}

        return change

    record, executed = run(edited(drop("full_reuse")))
    assert executed == {"overlap": 1, "plan": 1, "propose": 1, "publish": 1}
    assert (record["proxies"]["carried_over"], record["proxies"]["pooled"]) == (RUNS, 0)
    record, executed = run(edited(drop("auto")))
    assert executed == {"plan": 1, "evidence": 1, "fit": 1, "propose": 1, "publish": 1}
    assert (record["proxies"]["carried_over"], record["proxies"]["pooled"]) == (RUNS + 2, 2)
    # What a version had from the pool is not its lineage.
    record, _ = run(edited(drop("full_reuse")))
    assert (record["proxies"]["carried_over"], record["proxies"]["pooled"]) == (RUNS, 0)


def test_added_task_gives_a_further_row_of_the_same_proxy(run: Run, edited: Edit, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))

    def change(config: dict[str, Any]) -> None:
        config["domains"] = [domain for domain in config["domains"] if domain["name"] != "guide"]
        config["proposal"] = {"repetition": 1000}
        config["evaluation"]["tasks"].append({"file": "task.jsonl"})

    record, executed = run(edited(change))
    assert executed["evaluate"] == RUNS
    assert "train" not in executed
    rows = from_table(ledger.read(store))
    assert len(rows) == 2 * RUNS
    assert {len(row.bpb) for row in rows if row.source == "test@v0002"} == {1}
    assert len({row.proxy for row in rows}) == RUNS
    fitted = ledger.pinned(store, record["evidence"])
    assert len(fitted) == 2 * RUNS


def test_identity_of_a_run_is_hashed_in_the_form_on_record() -> None:
    assert RunIdentity(["a", "b"], ["p"], ("r",)).to_json() == {"leaves": ["a", "b"], "swarm": ["p"], "lineage": ["r"]}
