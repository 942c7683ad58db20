"""The plan says what the run then does, and touches nothing."""

import hashlib
import inspect
import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import FlowRunSort
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.mix import mix
from flows.reports.plan import Plan, make_plan
from olmix_core.config.load import load_config
from olmix_core.storage.store import Store
from tasks.runtime import progress
from tasks.runtime.results import results_block

Run = Callable[[Path], tuple[dict[str, Any], dict[str, int]]]
Edit = Callable[..., Path]


@pytest.fixture
def edited(finished: Callable[..., Edit], tmp_path: Path) -> Edit:
    lines = [inspect.getsource(module) for module in (inspect, json, shutil)]
    (tmp_path / "extra.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in lines))
    return finished(swarm={"min_strength": 1.0})


def tree(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file below a folder, with its content and the time it was written."""
    return {
        str(path.relative_to(folder)): (hashlib.md5(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def planned(config: Path) -> Plan:
    return make_plan(load_config(config), str(config))


def add(config: dict[str, Any], strategy: str = "auto") -> None:
    config["domains"].append({"name": "extra", "paths": "extra.jsonl"})
    config["reuse"] = {"strategy": strategy}


def drop(config: dict[str, Any]) -> None:
    config["domains"] = [domain for domain in config["domains"] if domain["name"] != "guide"]


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "nothing": lambda config: None,
    "add": add,
    "remove": drop,
    "rename": lambda config: config["domains"][2].update(name="renamed"),
    "kl": lambda config: config.update(proposal={"kl": 0.5}),
    "task": lambda config: config["evaluation"]["tasks"].append({"file": "task.jsonl"}),
    "recipe": lambda config: config["proxy"].update(learning_rate=1e-3),
    "full": lambda config: add(config, "full_recompute"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_run_executes_what_the_plan_says(change: str, run: Run, edited: Edit, tmp_path: Path) -> None:
    config = edited(CHANGES[change])
    before = tree(tmp_path / "store")
    plan = planned(config)
    assert tree(tmp_path / "store") == before
    _, executed = run(config)
    assert {step: counts.executed for step, counts in plan.steps.items() if counts.executed} == executed
    assert plan.cost.proxies == executed.get("train", 0)
    assert plan.pending == (change != "nothing")
    assert not planned(config).pending


@pytest.mark.long
def test_a_run_can_wait_for_approval(project: Callable[..., Path], prefect_server: None, tmp_path: Path) -> None:
    """The plan is there as an artifact, nothing is trained, and the run goes on once it is resumed."""
    config = load_config(project())
    Store(config.store).preflight()
    runner: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=2)
    flow = mix.with_options(task_runner=runner, result_storage=results_block(config.store))
    with ThreadPoolExecutor() as pool, get_client(sync_client=True) as client:
        progress.begin()
        running = pool.submit(copy_context().run, flow, config, "mix.yaml", approve=True)
        paused = None
        for _ in range(300):
            runs = client.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=1)
            paused = next((one for one in runs if one.state is not None and one.state.is_paused()), None)
            if paused is not None or running.done():
                break
            time.sleep(0.5)
        assert paused is not None
        artifacts = client.read_artifacts()
        assert any(one.key == "plan-test" and "6** proxies" in str(one.data) for one in artifacts)
        assert not (tmp_path / "store/proxies").exists()
        client.resume_flow_run(paused.id)
        assert running.result(timeout=120).version == "v0001"


def test_a_first_plan_needs_no_store(project: Callable[..., Path], run: Run, tmp_path: Path) -> None:
    config = project()
    plan = planned(config)
    assert not (tmp_path / "store").exists()
    _, executed = run(config)
    assert {step: counts.executed for step, counts in plan.steps.items()} == executed


def test_the_plan_counts_and_names_the_files_that_are_skipped(project: Callable[..., Path], tmp_path: Path) -> None:
    config = project()
    keys = planned(config)
    for domain in (changed := yaml.safe_load(config.read_text()))["domains"]:
        if domain["name"] == "code":
            (tmp_path / "code").mkdir()
            (tmp_path / "code.jsonl").rename(tmp_path / "code" / "code.jsonl")
            (tmp_path / "code" / "notes.pdf").write_text("no text")
            domain |= {"paths": "code", "skip": "*.pdf"}
    config.write_text(yaml.safe_dump(changed))
    plan = planned(config)
    assert "code: skips 1 file (1 *.pdf: notes.pdf)" in plan.notes
    assert plan.leaves == keys.leaves


def test_every_leaf_has_its_change_and_action(edited: Edit, tmp_path: Path) -> None:
    with (tmp_path / "manual.jsonl").open("a") as file:
        file.write(json.dumps({"text": "one more line"}) + "\n")

    def change(config: dict[str, Any]) -> None:
        add(config)
        drop(config)
        config["reuse"] = {"strategy": "full_reuse"}

    leaves = {leaf.domain: leaf for leaf in planned(edited(change)).leaves}
    assert {name: leaf.change for name, leaf in leaves.items()} == {
        "code": "unchanged",
        "extra": "added",
        "guide": "removed",
        "manual": "revised",
    }
    assert leaves["code"].action == "keep its ratio"
    assert leaves["extra"].count
    assert not leaves["code"].count


def test_the_saving_is_a_number(edited: Edit) -> None:
    plan = planned(edited(lambda config: add(config, "full_reuse")))
    assert plan.cost.proxies == 3 * (2 + 1)
    assert plan.alternatives["full_recompute"].proxies == 3 * (4 + 1)
    assert plan.cost.tokens == plan.cost.proxies * 2048
    assert (plan.cost.seconds or 0) > 0
