"""The steps of a run, one module each: payload, result, and a small function around the core.

A step takes its payload and a store, and returns its result; both are frozen dataclasses, stored as JSON. Every module
here is imported, and the steps in it are registered in `STEPS`, in the order of the chain. To add a step, write a
module here and call the step where the chain needs it (`flows.pipeline`).
"""

from olmix_core.registry import import_modules
from tasks.runtime.registry import STEPS, Stage

__all__ = ["STEPS"]

for _module in import_modules(__name__, __path__):
    for _value in list(vars(_module).values()):
        if isinstance(_value, Stage):
            STEPS.register(_value)
