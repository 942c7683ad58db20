"""An adaptive swarm in the flow: rounds, what the plan says of them, stopping, and going on after a stop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from flows.cli.live import LiveSteps
from flows.cli.views import plan_view
from flows.reports.plan import Plan, StepPlan, make_plan
from olmix_core.config.load import load_config
from olmix_core.errors import ConfigError
from olmix_core.evidence import ledger
from olmix_core.planning.preflight import resolve_inputs
from olmix_core.storage.store import Store
from olmix_core.workers.jobs import Job, TrainJob
from olmix_core.workers.pool import worker_pool
from tasks.runtime.progress import RunProgress

Run = Callable[[Path], tuple[dict[str, Any], dict[str, int]]]
Edit = Callable[..., Path]
TASKS = 2
SWARM = {"runs": 11, "rounds": 2, "min_strength": 1.0}  # 6 and 5


@pytest.fixture
def adaptive(finished: Callable[..., Edit]) -> Edit:
    return finished(swarm=SWARM)


def plan_of(path: Path) -> Plan:
    return make_plan(load_config(path), str(path))


def test_rounds_train_as_many_proxies_as_one_swarm(run: Run, adaptive: Edit, tmp_path: Path) -> None:
    record, executed = run(adaptive())
    assert executed == {"publish": 1}
    done = {step: counts["executed"] for step, counts in record["run"].items()}
    assert done["train"] == record["proxies"]["swarm"] == len(record["keys"]["train"]) == 11
    assert done["evaluate"] == 11 * TASKS
    assert done["choose"] == 1
    assert done["fit"] == done["evidence"] == 2
    rows = ledger.read(Store(str(tmp_path / "store")))
    assert len(rows) == 11
    assert len(set(rows["swarm"].to_pylist())) == 1
    assert not plan_of(adaptive()).pending


def test_a_swarm_stops_where_little_is_left_to_gain(run: Run, adaptive: Edit) -> None:
    def content(config: dict[str, Any]) -> None:
        config["swarm"]["tolerance"] = 1000.0

    record, executed = run(adaptive(content))
    assert record["proxies"]["swarm"] == 6
    assert executed.keys() == {"choose", "propose", "publish"}


def test_a_run_that_was_stopped_in_a_later_round_goes_on_as_if_it_had_not_been(
    run: Run, adaptive: Edit, project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    straight, _ = run(adaptive())
    path = project(file="other.yaml", swarm=SWARM, store="other")
    plan = plan_of(path)
    assert plan.cost.proxies == 11
    assert plan.cost.evaluations == 11 * TASKS
    assert any("at most" in note for note in plan.notes)
    bare, trained = worker_pool.run, []

    def stop(job: Job[Any], *given: Any, **named: Any) -> Any:
        if isinstance(job, TrainJob):
            trained.append(job)
            if len(trained) > 8:
                raise RuntimeError("stopped")
        return bare(job, *given, **named)

    monkeypatch.setattr(worker_pool, "run", stop)
    with pytest.raises(RuntimeError, match="stopped"):
        run(path)
    monkeypatch.undo()
    record, executed = run(path)
    assert executed["train"] == 11 - 8
    assert record["keys"]["train"] == straight["keys"]["train"]
    assert record["weights"] == straight["weights"]


def test_rounds_need_a_law(project: Callable[..., Path]) -> None:
    path = project(swarm=SWARM, surrogate={"family": "lightgbm"})
    with pytest.raises(ConfigError, match=r"swarm\.rounds: found 2 with surrogate\.family 'lightgbm'"):
        resolve_inputs(load_config(path), str(path))


def test_tables_show_the_choice_of_later_rounds(project: Callable[..., Path]) -> None:
    def shows_the_choice(view: RenderableType) -> bool:
        console = Console(width=120)
        with console.capture() as capture:
            console.print(view)
        return any(line.startswith("choose") for line in capture.get().splitlines())

    plan = plan_of(project(swarm=SWARM))
    assert plan.steps["choose"] == StepPlan(executed=1, cached=0)
    assert shows_the_choice(plan_view(plan))
    assert not shows_the_choice(plan_view(plan_of(project())))
    progress = RunProgress()
    assert not shows_the_choice(LiveSteps(progress))
    progress.expect("choose", 1)
    assert shows_the_choice(LiveSteps(progress))
