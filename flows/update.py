"""The flow for deployments: `olmix run` for runs that are started in the Prefect UI or by an event."""

from prefect import flow
from prefect.logging import get_run_logger

from flows.execution.mix_lock import one_at_a_time
from flows.form import (
    ExecutionChanges,
    ProposalChanges,
    ProxyChanges,
    ReuseChanges,
    SurrogateChanges,
    SwarmChanges,
    filled_in,
)
from flows.mix import run_mix
from olmix_core.config.load import load_config


@flow(name="update", flow_run_name="update {config_file}", persist_result=False)
def update(  # noqa: PLR0913 - every parameter is a part of the form in the UI
    config_file: str,
    name: str = "",
    proposal: ProposalChanges = ProposalChanges(),  # type: ignore[valid-type]  # noqa: B008 - defaults of the form
    swarm: SwarmChanges = SwarmChanges(),  # type: ignore[valid-type]  # noqa: B008
    proxy: ProxyChanges = ProxyChanges(),  # type: ignore[valid-type]  # noqa: B008
    surrogate: SurrogateChanges = SurrogateChanges(),  # type: ignore[valid-type]  # noqa: B008
    reuse: ReuseChanges = ReuseChanges(),  # type: ignore[valid-type]  # noqa: B008
    execution: ExecutionChanges = ExecutionChanges(),  # type: ignore[valid-type]  # noqa: B008
    approve: bool = False,
) -> dict[str, str]:
    """Find the mixture that a configuration asks for, and publish it. Results computed before are not computed again.

    Fields filled in below replace those of the file for this run; fields left empty keep the value of the file. Give
    another `name` to try something without touching the versions of the mix.

    Args:
        config_file: Path of the configuration (YAML) on the machine of the worker.
        name: Publish under this name; empty: the name in the file. The store and its cache stay the same.
        proposal: Requirements on the mixture.
        swarm: The mixtures that proxies train on.
        proxy: The recipe of the proxies. Another recipe trains all of them again.
        surrogate: The law fitted to the evidence.
        reuse: What to keep of the last mix of this name.
        execution: Where and how long proxies may run.
        approve: Pause once the plan is made, until somebody resumes the run.

    Returns:
        {name, version} of the published mix.
    """
    sections = {"proposal": proposal, "swarm": swarm, "proxy": proxy}
    sections |= {"surrogate": surrogate, "reuse": reuse, "execution": execution}
    changes = {**filled_in(sections), **({"name": name} if name else {})}
    config = load_config(config_file, changes)
    with one_at_a_time(config.name):
        record = run_mix(config, config_file, approve=approve)
    get_run_logger().info("mix=%s: %s is published", record.name, record.version)
    return {"name": record.name, "version": record.version}
