"""The template of Kubernetes jobs and the Ray cluster, as far as they can be held without a cluster."""

import json
import re
from pathlib import Path
from typing import Any

import yaml
from prefect.utilities.templating import apply_values

from flows.execution.runners.deployment import job_variables
from olmix_core.config.execution import Execution

FOLDER = Path(__file__).parent.parent.parent / "deployments/kubernetes"
ASKED = {"cpus": 4, "gpus": 2, "memory_gb": 1.5}


def template() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "job-template.json").read_text())
    return found


def test_what_a_proxy_asks_for_reaches_its_pod() -> None:
    variables = template()["variables"]["properties"]
    defaults = {name: one["default"] for name, one in variables.items() if "default" in one}
    asked = job_variables(Execution.model_validate({"runner": "deployment", "resources": ASKED}))
    assert set(asked) <= set(variables)
    job = apply_values(template()["job_configuration"], {**defaults, **asked})["job_manifest"]
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == {
        "requests": {"cpu": 4, "memory": "1500M"},
        "limits": {"memory": "1500M", "nvidia.com/gpu": 2},
    }
    # Without a limit none is asked for.
    assert "activeDeadlineSeconds" not in job["spec"]


def test_the_template_uses_only_variables_that_it_declares() -> None:
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template()["job_configuration"])))
    assert used == set(template()["variables"]["properties"])


def test_the_ray_cluster_runs_the_version_that_is_installed_in_its_image() -> None:
    cluster = yaml.safe_load((FOLDER / "raycluster.yaml").read_text())
    constraints = (FOLDER.parent.parent / "constraints.txt").read_text()
    assert f"\nray=={cluster['spec']['rayVersion']}\n" in constraints
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    for group in groups:
        assert group["template"]["spec"]["securityContext"]["runAsNonRoot"] is True
