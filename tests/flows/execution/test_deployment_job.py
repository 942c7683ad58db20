"""Jobs for flow runs of a deployment keep their stored form."""

import json

from flows.execution.deployment_job import DeploymentJob


def test_stored_form_of_a_job() -> None:
    job = DeploymentJob("evaluate", [({"proxy": "p", "task": "t"}, {"label": "p arc", "timeout_hours": 1.0})])
    stored = {"step": "evaluate", "calls": [[{"proxy": "p", "task": "t"}, {"label": "p arc", "timeout_hours": 1.0}]]}
    assert json.loads(json.dumps(job.to_json())) == stored
    [(payload, where)] = DeploymentJob.from_json(stored).calls
    assert (payload, where) == job.calls[0]
