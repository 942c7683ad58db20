"""The flow: the chain of steps as cached Prefect tasks, then the record of the mix.

A step whose payload was seen before is not run again; so a change of the domain set, the tasks or the wishes runs only
what depends on it.
"""

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.flow_runs import pause_flow_run

from flows.execution.executor import PrefectExecutor
from flows.execution.runners import get_runner
from flows.pipeline.draft import propose_mix
from flows.reports.plan import Plan, make_plan
from flows.reports.plan_markdown import plan_markdown
from olmix_core.config.config import Config
from olmix_core.planning.preflight import resolve_inputs
from olmix_core.storage.store import Store
from olmix_core.workers.cancellation import until_stopped
from tasks.runtime import progress
from tasks.runtime.artifacts import Artifacts, publish_markdown
from tasks.runtime.progress_artifact import shown
from tasks.steps.publish import publish

APPROVAL_SECONDS = 7 * 24 * 3600  # how long a plan waits for somebody to look at it
POLL_SECONDS = 5


def run_mix(config: Config, config_file: str, workers: int | None = None, *, approve: bool = False) -> dict[str, Any]:
    """Run the flow for `config` with as many proxies at once as `workers` says.

    By default that is one per GPU, or one per core where there is none.

    With `approve` it pauses once its plan is there, until somebody resumes it in the UI.

    Returns mix.json of the published version. Raises OlmixError.
    """
    Store(config.store).preflight()
    with get_runner(config.execution.runner).start(config.execution, config_file, workers) as runner:
        return mix.with_options(task_runner=runner)(config, config_file, approve)


@task(name="forecast", task_run_name="forecast", cache_policy=NO_CACHE, persist_result=False)
def show_plan(config: Config, config_file: str) -> Plan:
    """Leave the plan as an artifact, before anything is spent."""
    plan = make_plan(config, config_file)
    publish_markdown(f"plan-{config.name}", plan_markdown(plan), "Plan")
    return plan


@flow(name="mix", flow_run_name="{config.name}", persist_result=False, validate_parameters=False)
def mix(config: Config, config_file: str = "config", approve: bool = False) -> dict[str, Any]:
    """Propose and publish the mixture that `config` asks for.

    With `approve` the run pauses once its plan is there, until somebody resumes it in the UI.
    """
    show_plan(config, config_file)
    if approve:
        pause_flow_run(timeout=APPROVAL_SECONDS, poll_interval=POLL_SECONDS)
    inputs = resolve_inputs(config, config_file)
    store = Store(config.store)
    labels = {**inputs.domains.labels, **{task.fingerprint: task.label for task in inputs.tasks}}
    executor = PrefectExecutor(store, Artifacts(config.name, store, labels), config.execution)
    tracked = progress.current()
    with shown(config.name, tracked), until_stopped():
        draft = propose_mix(config, config_file, inputs, executor)
    tracked.expect("publish", 1)
    published = publish(draft, config.store, tracked.accounting())
    tracked.finished("publish")
    return published.to_json()
