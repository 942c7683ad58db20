"""The job that the runner `deployment` leaves in the store for a flow run: calls of one step for one proxy."""

from collections.abc import Sequence
from dataclasses import dataclass

from olmix_core.serialization import JsonMapping, JsonRecord


@dataclass(frozen=True)
class DeploymentJob(JsonRecord):
    """A job as it is stored.

    Attributes:
        step: Name of the step.
        calls: Payload, and where things are, of each result.
    """

    step: str
    calls: Sequence[tuple[JsonMapping, JsonMapping]]
