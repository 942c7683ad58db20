"""The section `proposal` of the configuration: what the proposed mixture must meet."""

from typing import Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from olmix_core.config.base import Label, Section, check_ranges
from olmix_core.config.defaults import PAPER_KL


class ProposalSettings(Section):
    """Objective and constraints of the proposed mixture (paper, section 3)."""

    kl: NonNegativeFloat = Field(PAPER_KL, description="Strength lambda of the pull towards the natural mixture.")
    target_tokens: PositiveFloat | None = Field(
        None,
        description="Tokens R of the run the mixture is for; as many as there are where it is left out.",
    )
    repetition: PositiveFloat = Field(4.0, description="Most epochs k over any leaf in that run.")
    reference: Literal["natural", "previous"] | dict[str, NonNegativeFloat] = Field(
        "natural",
        description="What the mixture is pulled towards: natural; previous, the mix that this one builds on; or a"
        " weight for every leaf.",
    )
    pessimism: NonNegativeFloat = Field(
        0.0, description="Standard deviations of the predicted mean BPB that count as if they were BPB."
    )
    groups: dict[Label, list[str]] = Field(
        {}, description="Names for sets of domains (leaves, or nodes above leaves), to bound their summed weight."
    )
    bounds: dict[str, tuple[float, float]] = Field(
        {}, description="Lowest and highest weight in the mixture, by leaf, by node above leaves, or by group."
    )
    sequence_length: PositiveInt = Field(
        4096, description="Tokens in a training sequence of that run: published are whole sequences of each leaf."
    )

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> "ProposalSettings":
        check_ranges(self.bounds)
        if isinstance(self.reference, dict) and not sum(self.reference.values()) > 0:
            raise ValueError("found a reference without any weight > 0; expected a weight for every leaf")
        for group, members in self.groups.items():
            if not members:
                raise ValueError(f"found the group {group!r} without members; expected at least one domain")
        return self
