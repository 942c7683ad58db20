"""The section `surrogate` of the configuration: the law that is fitted to the evidence.

The name of the family is checked against the registry of families before a run (`olmix_core.planning.preflight`).
"""

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from olmix_core.config.base import Section


class SurrogateSettings(Section):
    """The law that predicts BPB from a mixture (paper, section 3)."""

    family: str = Field(
        "auto",
        description="log_linear: c + exp(A q), the paper's. diminishing_returns: c + exp(b - a q^gamma), a >= 0."
        " shared_prior: the same under a prior that all tasks share. auto: the one of these three with the least"
        " cross-validation error. docs/surrogate.md describes the others, which are for comparison.",
    )
    huber_delta: PositiveFloat = Field(0.02, description="Error in BPB above which the Huber loss is linear.")
    ridge: NonNegativeFloat | Literal["auto"] = Field(
        "auto", description="Ridge penalty on the coefficients; auto selects it per task."
    )
