"""The cache policy of a step: the key of a result is that of its payload."""

from dataclasses import dataclass
from typing import Any

from prefect.cache_policies import CachePolicy

from olmix_core.identity import step_key
from olmix_core.serialization import JsonObject
from olmix_core.storage.layout import result_key
from tasks.runtime.locks import StoreLocks


@dataclass
class PayloadKey(CachePolicy):
    """The cache policy of a step.

    Attributes:
        step: Name of the step.
        code_version: Version of its code, which is part of the key.
    """

    step: str = ""
    code_version: int = 0

    def compute_key(self, task_ctx: Any, inputs: JsonObject, flow_parameters: JsonObject, **_: Any) -> str:  # noqa: ARG002
        """Compute the key of a result, as Prefect asks for it.

        Args:
            task_ctx: Context of the task run; not used.
            inputs: Arguments of the task.
            flow_parameters: Parameters of the flow; not used.

        Returns:
            The key.
        """
        return result_key(self.step, step_key(self.step, self.code_version, inputs["payload"]))

    def locked(self, store: str) -> CachePolicy:
        """Return the policy with which a result is computed once, however many runs ask for it at this moment.

        Args:
            store: URL of the store.

        Returns:
            The policy.
        """
        return self.configure(lock_manager=StoreLocks(store), isolation_level="SERIALIZABLE")
