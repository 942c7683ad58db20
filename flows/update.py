"""The flow for deployments: what `olmix run` does, for runs that are started in the Prefect UI or by an event."""

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
def update(
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
    """Find the mixture that a configuration asks for, and publish it. What was computed before is not computed again.

    What is filled in below holds for this run, in the place of what the file says; what is left empty is as in the
    file. Give another `name` to try something without touching the versions of the mix.

    Args:
        config_file: Path of the configuration (YAML) on the machine of the worker.
        name: Publish under this name; empty: the name in the file. The store and its cache stay the same.
        proposal: What is asked of the mixture.
        swarm: Which mixtures the proxies train on.
        proxy: The recipe of the proxies. Another recipe trains all of them anew.
        surrogate: The law fitted to the evidence.
        reuse: What to keep of the last mix of this name.
        execution: Where and how long proxies may run.
        approve: Pause once the plan is there, until somebody resumes the run.
    """
    sections = {"proposal": proposal, "swarm": swarm, "proxy": proxy}
    sections |= {"surrogate": surrogate, "reuse": reuse, "execution": execution}
    changes = {**filled_in(sections), **({"name": name} if name else {})}
    config = load_config(config_file, changes)
    with one_at_a_time(config.name):
        record = run_mix(config, config_file, approve=approve)
    get_run_logger().info("mix=%s: %s is published", record["name"], record["version"])
    return {"name": record["name"], "version": record["version"]}
