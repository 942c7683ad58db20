"""How proxies are carried out: what results do not depend on, and what is therefore no part of any key."""

from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from olmix_core.config.base import Section

Runner = Literal["threads", "ray", "dask", "deployment"]


class Resources(Section):
    """What one proxy asks of a cluster, in training and when it is measured."""

    cpus: PositiveFloat = Field(1.0, description="CPU cores; a proxy trains on one thread.")
    gpus: NonNegativeFloat | None = Field(
        None, description="GPUs, with Ray and Dask a fraction too; where left out, 1 on a Ray cluster that has GPUs."
    )
    memory_gb: PositiveFloat | None = Field(None, description="Memory in GB (1e9 bytes); not asked for where left out.")


class Execution(Section):
    """Where and how long proxies may run. No part of identity."""

    runner: Runner = Field(
        "threads",
        description="threads: on this machine; ray, dask: on a cluster; deployment: a flow run of its own each.",
    )
    address: str | None = Field(
        None, description="With ray or dask: the cluster to use; one on this machine is started where it is left out."
    )
    deployment: str = Field("proxy/proxy", description="With deployment: the deployment that runs a proxy's steps.")
    job_variables: dict[str, Any] = Field(
        default_factory=dict, description="With deployment: further variables for the jobs of its work pool."
    )
    resources: Resources = Field(default_factory=Resources, description="What a proxy asks of a cluster.")
    command: str | None = Field(
        None, description="Line for the shell that trains and measures a mixture, with {config} and {metrics}."
    )
    timeout_hours: PositiveFloat = Field(
        24.0,
        description="Hours after which a proxy in training, or its evaluation on a task, is stopped;"
        " its last checkpoint is kept.",
    )

    @model_validator(mode="after")
    def _fits_the_runner(self) -> "Execution":
        if self.address is not None and self.runner not in ("ray", "dask"):
            raise ValueError(f"found an address with runner {self.runner}; expected runner ray or dask with it")
        if self.job_variables and self.runner != "deployment":
            raise ValueError(f"found job_variables with runner {self.runner}; expected runner deployment with them")
        gpus = self.resources.gpus
        if self.runner == "deployment" and gpus is not None and gpus != int(gpus):
            raise ValueError(
                f"found resources.gpus {gpus:g} with runner deployment; expected a whole number: only Ray and Dask"
                " share a GPU"
            )
        return self
