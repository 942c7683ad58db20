"""What cannot be meant is told when the configuration is read; how proxies run is no part of what they are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from olmix_core.config.load import load_config, with_runner
from olmix_core.errors import ConfigError

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown runner": (
        {"runner": "spark"},
        r"execution\.runner: found 'spark'; expected 'threads', 'ray', 'dask' or 'deployment'",
    ),
    "an address in threads": ({"address": "ray://head:10001"}, "found an address with runner threads"),
    "job variables on Ray": ({"runner": "ray", "job_variables": {"image": "x"}}, "found job_variables with runner ray"),
    "half a GPU for a job": (
        {"runner": "deployment", "resources": {"gpus": 0.5}},
        r"found resources\.gpus 0\.5 with runner deployment; expected a whole number",
    ),
    "no core": ({"resources": {"cpus": 0}}, r"execution\.resources\.cpus: found 0; expected greater than 0"),
    "a word for memory": (
        {"resources": {"memory": "4G"}},
        r"found an unknown field; expected one of cpus, gpus, memor",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_invalid_settings_are_refused_by_name(name: str, project: Callable[..., Path]) -> None:
    execution, message = BAD[name]
    with pytest.raises(ConfigError, match=message):
        load_config(project(execution=execution))


def test_with_runner_drops_settings_of_the_former_runner(project: Callable[..., Path]) -> None:
    asked = {"runner": "ray", "address": "auto", "resources": {"gpus": 1}, "timeout_hours": 2}
    config = load_config(project(execution=asked))
    assert with_runner(config, "ray", "mix.yaml").execution == config.execution
    execution = with_runner(config, "deployment", "mix.yaml").execution
    assert (execution.runner, execution.address, execution.resources.gpus) == ("deployment", None, 1)
    assert execution.timeout_hours == 2
    config = load_config(project(execution={"runner": "ray", "resources": {"gpus": 0.5}}))
    with pytest.raises(ConfigError, match=r"mix\.yaml: execution: found resources\.gpus 0\.5 with runner deployment"):
        with_runner(config, "deployment", "mix.yaml")
