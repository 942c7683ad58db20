"""The flow for deployments: what `olmix run` does, for schedules and for runs that are started in the Prefect UI."""

from prefect import flow

from flows.mix import run_mix
from olmix_core.config import load_config


@flow(name="update", flow_run_name="update {config_file}", persist_result=False)
def update(config_file: str, approve: bool = False) -> dict[str, str]:
    """Find the mixture that the configuration at `config_file` asks for, and publish it.

    With `approve` the run pauses once its plan is there, until somebody resumes it.
    """
    record = run_mix(load_config(config_file), config_file, approve=approve)
    return {"name": record["name"], "version": record["version"]}
