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


class Target(Section):
    """The size of the run that the mixture is for."""

    parameters: PositiveFloat = Field(description="Parameters of its model, without embeddings.")
    tokens: PositiveFloat = Field(description="Tokens that it trains on.")


class ProposalSettings(Section):
    """Objective and constraints of the proposed mixture (paper, section 3)."""

    kl: NonNegativeFloat = Field(PAPER_KL, description="Weight of the KL penalty towards the reference.")
    target_tokens: PositiveFloat | None = Field(
        None,
        description="Tokens R of the run that the mixture is for; default: all available tokens.",
    )
    target: Target | None = Field(
        None,
        description="Size of that run. The mixture is proposed, and its gains are stated, at this size.",
    )
    repetition: PositiveFloat = Field(4.0, description="Maximum number k of epochs over any leaf in that run.")
    reference: Literal["natural", "previous"] | dict[str, NonNegativeFloat] = Field(
        "natural",
        description="Reference mixture of the KL penalty: natural; previous, the mix that this one builds on; or a"
        " weight for every leaf.",
    )
    pessimism: NonNegativeFloat = Field(
        0.0, description="Number of standard deviations of the predicted mean BPB added to the objective."
    )
    groups: dict[Label, list[str]] = Field(
        {}, description="Named sets of domains (leaves, or nodes above leaves), for bounds on their total weight."
    )
    bounds: dict[str, tuple[float, float]] = Field(
        {}, description="Minimum and maximum weight of a leaf, a node above leaves, or a group."
    )
    sequence_length: PositiveInt = Field(
        4096, description="Tokens per training sequence of that run; the proposal is in whole sequences."
    )

    @property
    def run_tokens(self) -> float | None:
        """Tokens of the run that the mixture is for; None where nothing says."""
        return self.target_tokens or (self.target.tokens if self.target else None)

    @model_validator(mode="after")
    def _one_length(self) -> "ProposalSettings":
        if self.target and self.target_tokens not in (None, self.target.tokens):
            raise ValueError(
                f"found target_tokens {self.target_tokens:g} beside target.tokens {self.target.tokens:g}; expected one"
                " of them, or the same number"
            )
        return self

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> "ProposalSettings":
        check_ranges(self.bounds)
        if isinstance(self.reference, dict) and not sum(self.reference.values()) > 0:
            raise ValueError("found a reference without any weight > 0; expected a weight for every leaf")
        for group, members in self.groups.items():
            if not members:
                raise ValueError(f"found the group {group!r} without members; expected at least one domain")
        return self
