"""The flow of one job: the steps of one proxy, wherever a work pool starts it."""

from prefect import flow

from flows.execution.deployment_job import DeploymentJob
from olmix_core.storage.layout import job_path
from olmix_core.storage.store import Store
from tasks.runtime.results import results_block
from tasks.runtime.step import Step
from tasks.steps import STEPS


@flow(name="proxy", flow_run_name="{label}", persist_result=False)
def proxy(job: str, store: str, label: str = "") -> None:  # noqa: ARG001 - the label names the flow run
    """Carry out a job; results that are in the store already are not computed again.

    Args:
        job: Name of the job in the store, as written by the runner `deployment`.
        store: URL of the store.
        label: Name of the flow run.

    Raises:
        OlmixError: If a step fails.
    """
    job_store = Store(store)
    job_store.preflight()
    description = DeploymentJob.from_json(job_store.read_json(job_path(job)))
    step = STEPS[description.step]
    assert isinstance(step, Step)
    run = step.task.with_options(result_storage=results_block(job_store.url), cache_policy=step.policy(job_store.url))
    for payload, where in description.calls:
        run(payload, job_store.url, **where)
