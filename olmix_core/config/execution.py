"""Where and how proxies run. Results do not depend on it, so no field is part of a cache key."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from olmix_core.config.base import Section
from olmix_core.serialization import JsonObject


@dataclass(frozen=True)
class RunnerRules:
    """What the configuration accepts for one runner.

    Attributes:
        description: Where the runner runs proxies, for the form and the command line.
        takes_address: Whether `execution.address` applies.
        takes_job_variables: Whether `execution.job_variables` applies.
        shares_gpus: Whether a proxy may ask for a fraction of a GPU.
    """

    description: str
    takes_address: bool = False
    takes_job_variables: bool = False
    shares_gpus: bool = True


# The runners, one line each. Their implementations are the modules of these names in flows.execution.runners.
RUNNER_RULES = {
    "threads": RunnerRules("on this machine"),
    "ray": RunnerRules("on a Ray cluster", takes_address=True),
    "dask": RunnerRules("on a Dask cluster", takes_address=True),
    "deployment": RunnerRules("as a flow run of its own each", takes_job_variables=True, shares_gpus=False),
}
if TYPE_CHECKING:
    RunnerName = str
else:  # so that the error message, the JSON schema and the form name the runners
    RunnerName = Literal[tuple(RUNNER_RULES)]


def _runners_where(field: str) -> str:
    """Names of the runners whose rule `field` is true, as in "ray or dask"."""
    return " or ".join(name for name, rules in RUNNER_RULES.items() if getattr(rules, field))


class Resources(Section):
    """Resources that one proxy requests of a cluster, in training and evaluation."""

    cpus: PositiveFloat = Field(1.0, description="CPU cores; a proxy trains on one thread.")
    gpus: NonNegativeFloat | None = Field(
        None, description="GPUs; can be a fraction with Ray and Dask; default: 1 on a Ray cluster with GPUs."
    )
    memory_gb: PositiveFloat | None = Field(None, description="Memory in GB (1e9 bytes); none requested by default.")


class Execution(Section):
    """Where and how long proxies may run. No part of identity."""

    runner: RunnerName = Field(
        "threads",
        description="; ".join(f"{name}: {rules.description}" for name, rules in RUNNER_RULES.items()) + ".",
    )
    address: str | None = Field(
        None,
        description="With ray or dask: the cluster; default: RAY_ADDRESS or DASK_SCHEDULER_ADDRESS, else this machine.",
    )
    deployment: str = Field("proxy/proxy", description="With deployment: the deployment that runs a proxy's steps.")
    job_variables: JsonObject = Field(
        default_factory=dict, description="With deployment: additional job variables of the work pool."
    )
    resources: Resources = Field(
        default_factory=Resources, description="Resources that a proxy requests from a cluster."
    )
    command: str | None = Field(
        None, description="Shell command that trains and evaluates a mixture, with {config} and {metrics}."
    )
    timeout_hours: PositiveFloat = Field(
        24.0,
        description="Hours after which the training of a proxy, or its evaluation on a task, is stopped;"
        " the last checkpoint is kept.",
    )

    @model_validator(mode="after")
    def _fits_the_runner(self) -> "Execution":
        rules = RUNNER_RULES[self.runner]
        if self.address is not None and not rules.takes_address:
            expected = _runners_where("takes_address")
            raise ValueError(f"found an address with runner {self.runner}; expected runner {expected} with it")
        if self.job_variables and not rules.takes_job_variables:
            expected = _runners_where("takes_job_variables")
            raise ValueError(f"found job_variables with runner {self.runner}; expected runner {expected} with them")
        gpus = self.resources.gpus
        if not rules.shares_gpus and gpus is not None and gpus != int(gpus):
            raise ValueError(
                f"found resources.gpus {gpus:g} with runner {self.runner}; expected a whole number: this runner does"
                " not share a GPU"
            )
        return self
