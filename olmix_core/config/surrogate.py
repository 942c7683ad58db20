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
        " auto: the one of these two with the smaller error on runs left out of the fit. The others, for comparison,"
        " are in docs/surrogate.md.",
    )
    huber_delta: PositiveFloat = Field(0.02, description="BPB from which an error counts linearly.")
    ridge: NonNegativeFloat | Literal["auto"] = Field(
        "auto", description="Penalty on the coefficients; auto chooses it per task from the data."
    )
