"""The flow: the chain of steps as cached Prefect tasks, then the record of the mix.

A step whose payload was seen before is not run again, so a change of the domain set, the tasks or the requirements runs
only the steps that depend on it.
"""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.flow_runs import pause_flow_run

from flows.execution.executor import PrefectExecutor
from flows.execution.prefect_server import check_server
from flows.execution.runners import RUNNERS
from flows.pipeline.draft import propose_mix
from flows.reports.plan import make_plan
from flows.reports.plan_markdown import plan_markdown
from olmix_core.config.config import Config
from olmix_core.mixes.record import MixRecord
from olmix_core.planning.preflight import ResolvedInputs, resolve_inputs
from olmix_core.storage.store import Store
from olmix_core.workers.cancellation import until_stopped
from tasks.runtime import progress
from tasks.runtime.artifacts import Artifacts, publish_markdown
from tasks.runtime.progress_artifact import shown
from tasks.steps.publish import PUBLISH, publish

APPROVAL_SECONDS = 7 * 24 * 3600  # how long a plan waits for somebody to look at it
POLL_SECONDS = 5


class Preflight:
    """Inputs that were resolved before the flow starts.

    An argument of the flow that Prefect cannot serialise, so that it does not store the list of all files.
    """

    __slots__ = ("inputs",)

    def __init__(self, inputs: ResolvedInputs) -> None:
        self.inputs = inputs


def run_mix(
    config: Config,
    config_file: str,
    workers: int | None = None,
    *,
    approve: bool = False,
    inputs: ResolvedInputs | None = None,
) -> MixRecord:
    """Run the flow, with the task runner that the configuration asks for.

    Args:
        config: The configuration.
        config_file: Its path, for error messages.
        workers: Proxies at once; None for one per GPU, or one per core where there is none.
        approve: Whether to pause once the plan is made, until somebody resumes the run in the UI.
        inputs: What the configuration refers to, if it was resolved before.

    Returns:
        The record of the published version.

    Raises:
        OlmixError: If the inputs cannot be used, or a step fails.
    """
    check_server()
    (Store(config.store) if inputs is None else inputs.store).preflight()
    preflight = None if inputs is None else Preflight(inputs)
    with RUNNERS[config.execution.runner].start(config.execution, config_file, workers) as task_runner:
        return mix.with_options(task_runner=task_runner)(config, config_file, approve, preflight)


@task(name="forecast", task_run_name="forecast", cache_policy=NO_CACHE, persist_result=False)
def show_plan(config: Config, config_file: str, preflight: Preflight) -> None:
    """Leave the plan as an artifact, before anything is spent.

    Args:
        config: The configuration.
        config_file: Its path, for error messages.
        preflight: The inputs.
    """
    plan = make_plan(config, config_file, inputs=preflight.inputs)
    publish_markdown(f"plan-{config.name}", plan_markdown(plan), "Plan")


@flow(name="mix", flow_run_name="{config.name}", persist_result=False, validate_parameters=False)
def mix(
    config: Config, config_file: str = "config", approve: bool = False, preflight: Preflight | None = None
) -> MixRecord:
    """Propose and publish the mixture that a configuration asks for.

    Args:
        config: The configuration.
        config_file: Its path, for error messages.
        approve: Whether to pause once the plan is made, until somebody resumes the run in the UI.
        preflight: The inputs, if they were resolved before.

    Returns:
        The record of the published version.
    """
    preflight = preflight or Preflight(resolve_inputs(config, config_file))
    show_plan(config, config_file, preflight)
    inputs = preflight.inputs
    if approve:
        pause_flow_run(timeout=APPROVAL_SECONDS, poll_interval=POLL_SECONDS)
        inputs = resolve_inputs(config, config_file)  # days may have passed
    store = inputs.store
    artifacts = Artifacts(config.name, store, inputs.labels)
    executor = PrefectExecutor(store, artifacts, config.execution)
    tracked = progress.current()
    with shown(config.name, tracked), until_stopped():
        draft = propose_mix(config, config_file, inputs, executor)
    tracked.expect(PUBLISH.name, 1)
    published = publish(draft, store, tracked.accounting())
    tracked.finished(PUBLISH.name)
    return published
