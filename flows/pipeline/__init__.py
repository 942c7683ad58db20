"""The chain of steps, from a configuration to a proposed mixture, and what a run of it would do.

`run_chain` carries out the steps of a `RunContext` with its executor and fills its `RunState`; `forecast` does the same
with an executor that only looks into the cache. Both take a configuration and what it refers to (`ResolvedInputs`).
"""

from flows.pipeline.context import RunContext
from flows.pipeline.forecast import Forecast, forecast
from flows.pipeline.pipeline import run_chain
from flows.pipeline.run_state import RunState

__all__ = ["Forecast", "RunContext", "RunState", "forecast", "run_chain"]
