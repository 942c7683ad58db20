"""`olmix run` as typed: the inputs are resolved once, the plan is shown before it is approved."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from olmix_core.config.config import Config
from olmix_core.data.domains import DomainSet, read_domains
from olmix_core.planning import preflight
from olmix_core.storage.content_index import ContentIndex


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The configurations whose domains were read."""
    files: list[str] = []

    def counted(config: Config, config_file: str, index: ContentIndex) -> DomainSet:
        files.append(config_file)
        return read_domains(config, config_file, index)

    monkeypatch.setattr(preflight, "read_domains", counted)
    return files


def test_inputs_are_resolved_once_for_the_plan_and_the_run(
    finished: Callable[..., Callable[..., Path]], prefect_server: None, resolved: list[str]
) -> None:
    config = str(finished()())
    resolved.clear()
    result = CliRunner().invoke(app, ["run", config, "--approve"], input="y\n", catch_exceptions=False)
    assert result.exit_code == 0
    assert "nothing to do: everything is cached and published" in result.output
    assert "everything was cached" in result.output
    assert resolved == [config]


def test_a_plan_that_is_not_approved_runs_nothing(project: Callable[..., Path], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["run", str(project()), "--approve"], input="n\n", catch_exceptions=False)
    assert result.exit_code == 0
    assert "nothing was run" in result.output
    assert not (tmp_path / "store").exists()
