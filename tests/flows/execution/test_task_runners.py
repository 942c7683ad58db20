"""What a runner needs is looked for before anything runs; what proxies ask for, in the words of each engine."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect.exceptions import CrashedRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import ThreadPoolTaskRunner
from typer.testing import CliRunner

from flows.cli.app import app
from flows.execution.deployment_runner import job_variables
from flows.execution.task_runners import carries_a_proxy, is_loss, started
from olmix_core.config.config import load_config
from olmix_core.config.execution import Execution
from olmix_core.errors import ConfigError, TrainingError

Project = Callable[..., Path]


@pytest.mark.parametrize(("runner", "module"), [("ray", "prefect_ray"), ("dask", "prefect_dask")])
def test_an_extra_that_is_not_installed_is_told_in_one_line(
    runner: str, module: str, project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # what Python keeps of a module that it did not find
    config = load_config(project(execution={"runner": runner}))
    expected = (
        rf"execution\.runner: found {runner}, but {module} is not installed; .*pip install 'olmix-flows\[{runner}"
    )
    with pytest.raises(ConfigError, match=expected), started(config, "mix.yaml", None):
        pass
    assert not (tmp_path / "store").exists()


def test_an_unknown_runner_is_told_with_those_that_there_are(project: Project) -> None:
    result = CliRunner().invoke(app, ["run", str(project()), "--runner", "spark"], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "'spark' is not one of 'threads', 'ray', 'dask', 'deployment'" in result.output


def test_a_deployment_needs_a_server(project: Project) -> None:
    config = load_config(project(execution={"runner": "deployment"}))
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(ConfigError, match=r"found deployment without a Prefect server; expected PREFECT_API_URL"),
        started(config, "mix.yaml", None),
    ):
        pass


def test_threads_are_as_many_as_are_asked_for(project: Project) -> None:
    with started(load_config(project()), "mix.yaml", 3) as runner:
        assert isinstance(runner, ThreadPoolTaskRunner)
        assert runner._max_workers == 3


def test_a_job_is_told_what_a_proxy_asks_for_and_what_the_user_adds() -> None:
    assert job_variables(Execution(runner="deployment")) == {"cpus": 1.0}
    asked = {"cpus": 4, "gpus": 2, "memory_gb": 1.5}
    execution = Execution.model_validate(
        {"runner": "deployment", "resources": asked, "job_variables": {"image": "olmix:1", "cpus": 8}}
    )
    assert job_variables(execution) == {"cpus": 8, "gpus": 2, "memory": "1500M", "image": "olmix:1"}


def test_only_what_trains_or_measures_asks_for_resources() -> None:
    measured, read = {"task": {"metric": None}}, {"task": {"metric": "arc"}}
    assert carries_a_proxy("train", [({}, {})])
    assert carries_a_proxy("evaluate", [({}, measured)])
    assert not carries_a_proxy("evaluate", [({}, read)])  # by a trainer of your own, in training
    assert not carries_a_proxy("fit", [({}, {})])


def test_a_lost_process_is_told_apart_from_what_a_step_said() -> None:
    assert is_loss(CrashedRun("its process ended"))
    assert not is_loss(TrainingError("too little memory"))
    assert not is_loss(ValueError("a defect"))
