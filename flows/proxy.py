"""The flow of one job: the steps of one proxy, wherever a work pool starts it.."""

from prefect import flow

from olmix_core.storage.layout import job_path
from olmix_core.storage.store import Store
from tasks.runtime.results import results_block
from tasks.steps.evaluate import evaluate
from tasks.steps.train import train

STEPS = {step.name: step for step in (train, evaluate)}


@flow(name="proxy", flow_run_name="{label}", persist_result=False)
def proxy(job: str, store: str, label: str = "") -> None:
    """Carry out the job called `job` of the store at `store`; results that are there already are not made again.

    Raises OlmixError.
    """
    opened = Store(store)
    opened.preflight()
    todo = opened.read_json(job_path(job))
    step = STEPS[todo["step"]]
    run = step.task.with_options(result_storage=results_block(opened.url), cache_policy=step.policy(opened.url))
    for payload, where in todo["calls"]:
        run(payload, opened.url, **where)
