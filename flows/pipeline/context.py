"""What every part of the chain is given: the configuration, what it refers to, the executor, and the state so far."""

from dataclasses import dataclass

from flows.execution.executor import Executor
from flows.pipeline.run_state import RunState
from olmix_core.config.config import Config
from olmix_core.planning.base import find_base
from olmix_core.planning.preflight import ResolvedInputs
from olmix_core.serialization import Scalar
from olmix_core.storage.store import Store


@dataclass(frozen=True)
class RunContext:
    """The surroundings of one run of the chain.

    Attributes:
        config: The configuration.
        config_file: Its path, for error messages.
        inputs: What the configuration refers to.
        executor: Carries out the steps.
        state: What they found, filled as they end.
    """

    config: Config
    config_file: str
    inputs: ResolvedInputs
    executor: Executor
    state: RunState

    @classmethod
    def begin(cls, config: Config, config_file: str, inputs: ResolvedInputs, executor: Executor) -> "RunContext":
        """Begin a run, with a state that only knows which mix is built on.

        Args:
            config: The configuration.
            config_file: Its path, for error messages.
            inputs: What it refers to.
            executor: Carries out the steps.

        Returns:
            The run.

        Raises:
            StoreError: A record in the store cannot be read.
            DataError: `partition_of` does not fit the last mix.
        """
        state = RunState(find_base(executor.store, config.name, inputs.domains))
        return cls(config, config_file, inputs, executor, state)

    @property
    def store(self) -> Store:
        """The store of the run."""
        return self.executor.store

    @property
    def recipe(self) -> dict[str, Scalar]:
        """The recipe of the proxies, written out."""
        return self.inputs.recipe.identity()
