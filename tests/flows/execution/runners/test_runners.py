"""Runners: what they need is checked before anything runs; what proxies ask for, in the words of each engine."""

import pkgutil
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect.exceptions import CrashedRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import ThreadPoolTaskRunner
from typer.testing import CliRunner

from flows.cli.app import app
from flows.execution import runners
from flows.execution.runners import RUNNERS
from flows.execution.runners.dask import worker_resources
from flows.execution.runners.deployment import job_variables
from flows.form import ExecutionChanges
from olmix_core.config.execution import RUNNER_RULES, Execution
from olmix_core.config.load import load_config
from olmix_core.data.tasks import TaskSource
from olmix_core.errors import ConfigError, TrainingError
from tasks.runtime.step import Call
from tasks.steps.evaluate import EvaluatePayload, TaskDocuments, evaluate
from tasks.steps.fit import fit
from tasks.steps.train import TrainPayload, train

Project = Callable[..., Path]


def test_every_runner_is_one_module_that_the_configuration_names() -> None:
    modules = {module.name for module in pkgutil.iter_modules(runners.__path__)} - {"base"}
    assert modules == set(RUNNERS) == set(RUNNER_RULES)


def test_every_runner_is_documented_and_no_other() -> None:
    docs = Path(__file__).parents[4] / "docs"
    table = re.search(r"^\| `execution.runner` .*?\n\n", (docs / "scale.md").read_text(), re.M | re.S)
    assert table
    assert re.findall(r"^\| `(\w+)` ", table[0], re.M) == list(RUNNER_RULES)
    for page, row in (("config.md", "execution.runner"), ("cli.md", "--runner")):
        cells = re.search(rf"^\| `{row}` .*$", (docs / page).read_text(), re.M)
        assert cells
        assert all(f"`{name}`" in cells[0] for name in RUNNER_RULES)


def test_the_form_and_the_command_line_offer_every_runner() -> None:
    field = ExecutionChanges.model_json_schema()["properties"]["runner"]
    assert field["enum"] == list(RUNNER_RULES)
    assert all(f"{name}: {rules.description}" in field["description"] for name, rules in RUNNER_RULES.items())
    result = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "200"})
    assert "|".join(RUNNER_RULES) in result.output


@pytest.mark.parametrize(("runner", "module"), [("ray", "prefect_ray"), ("dask", "prefect_dask")])
def test_a_missing_extra_is_reported_in_one_line(
    runner: str, module: str, project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # what Python keeps of a module that it did not find
    config = load_config(project(execution={"runner": runner}))
    expected = (
        rf"execution\.runner: found {runner}, but {module} is not installed; .*pip install 'olmix-flows\[{runner}"
    )
    with pytest.raises(ConfigError, match=expected), RUNNERS[runner].start(config.execution, "mix.yaml", None):
        pass
    assert not (tmp_path / "store").exists()


def test_the_command_line_lists_the_runners_when_it_refuses_one(project: Project) -> None:
    result = CliRunner().invoke(app, ["run", str(project()), "--runner", "spark"], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert f"'spark' is not one of {', '.join(map(repr, RUNNER_RULES))}" in result.output


def test_a_deployment_needs_a_server() -> None:
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(ConfigError, match=r"found deployment without a Prefect server; expected PREFECT_API_URL"),
        RUNNERS["deployment"].start(Execution(runner="deployment"), "mix.yaml", None),
    ):
        pass


def test_the_number_of_threads_is_that_of_the_workers() -> None:
    with RUNNERS["threads"].start(Execution(), "mix.yaml", 3) as task_runner:
        assert isinstance(task_runner, ThreadPoolTaskRunner)
        assert task_runner._max_workers == 3  # noqa: SLF001 - Prefect tells it nowhere else


def test_a_job_gets_the_resources_of_a_proxy_and_the_variables_of_the_user() -> None:
    assert job_variables(Execution(runner="deployment")) == {"cpus": 1.0}
    asked = {"cpus": 4, "gpus": 2, "memory_gb": 1.5}
    execution = Execution.model_validate(
        {"runner": "deployment", "resources": asked, "job_variables": {"image": "olmix:1", "cpus": 8}}
    )
    assert job_variables(execution) == {"cpus": 8, "gpus": 2, "memory": "1500M", "image": "olmix:1"}


def test_dask_is_asked_only_for_what_is_not_a_thread() -> None:
    asked = {"cpus": 4, "gpus": 0.5, "memory_gb": 1.5}
    execution = Execution.model_validate({"runner": "dask", "resources": asked})
    assert worker_resources(Execution().resources) == {}
    assert worker_resources(execution.resources) == {"CPU": 4, "GPU": 0.5, "MEMORY": 1.5e9}


def test_only_steps_that_train_or_evaluate_proxies_ask_for_resources() -> None:
    measured = {"task": TaskDocuments(TaskSource(), ["tokens"]).to_json()}
    read = {"task": TaskDocuments(TaskSource(metric="arc"), []).to_json()}
    assert train.runs_proxies([Call(TrainPayload({}, {}, ""), {})])
    assert evaluate.runs_proxies([Call(EvaluatePayload("", ""), measured)])
    assert not evaluate.runs_proxies([Call(EvaluatePayload("", ""), read)])  # by an external trainer, while it trained
    assert not fit.runs_proxies([])


@pytest.mark.parametrize("name", RUNNER_RULES)
def test_a_lost_process_is_told_apart_from_an_error_of_a_step(name: str) -> None:
    runner = RUNNERS[name]
    assert runner.is_loss(CrashedRun("its process ended"))
    assert not runner.is_loss(TrainingError("too little memory"))
    assert not runner.is_loss(ValueError("a defect"))
