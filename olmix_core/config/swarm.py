"""The section `swarm` of the configuration: the mixtures that the proxies train on."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, model_validator

from olmix_core.config.base import Section, check_ranges
from olmix_core.serialization import JsonRecord


@dataclass(frozen=True)
class SwarmSampling(JsonRecord):
    """How the mixtures of a swarm are drawn; `Swarm` describes the fields.

    Attributes:
        seed: Seed of the mixtures.
        sparsity: Whether small weights become 0 (sparse) or no weight is small (dense).
        minimum_weight: Threshold below which a weight is small.
        min_strength: Smallest Dirichlet strength.
        max_strength: Largest Dirichlet strength.
    """

    seed: int = 0
    sparsity: Literal["sparse", "dense"] = "sparse"
    minimum_weight: float = 0.002
    min_strength: float = 0.1
    max_strength: float = 5.0


class Swarm(Section):
    """The mixtures that the proxies train on (paper, section 3)."""

    runs: Annotated[int, Field(ge=2)] | None = Field(
        None, description="Number K of proxies; default: 3 (d + 1) for d free dimensions."
    )
    rounds: Annotated[int, Field(ge=1)] = Field(
        1,
        description="Number of rounds in which the proxies are trained. 1: all mixtures are drawn at once. More: later"
        " rounds are chosen for their information about the optimum.",
    )
    tolerance: NonNegativeFloat = Field(
        0.0, description="With rounds: stop if the expected remaining gain is below this, in BPB."
    )
    seed: NonNegativeInt = Field(0, description="Seed of the mixtures; mixture i depends only on (seed, i).")
    sparsity: Literal["sparse", "dense"] = Field(
        "sparse",
        description="sparse: small weights become exactly 0. dense: no weight is below minimum_weight.",
    )
    minimum_weight: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.002, description="Threshold below which a weight is small, see sparsity."
    )
    min_strength: PositiveFloat = Field(0.1, description="Smallest Dirichlet strength (most extreme mixtures).")
    max_strength: PositiveFloat = Field(5.0, description="Largest Dirichlet strength (mixtures nearest to natural).")
    bounds: dict[str, tuple[float, float]] = Field(
        {}, description="Minimum and maximum weight of a leaf in every mixture."
    )

    @property
    def sampling(self) -> SwarmSampling:
        """How mixtures are drawn, apart from their number and their bounds."""
        return SwarmSampling(self.seed, self.sparsity, self.minimum_weight, self.min_strength, self.max_strength)

    @model_validator(mode="after")
    def _ranges_are_ordered(self) -> "Swarm":
        if self.min_strength > self.max_strength:
            raise ValueError(
                f"found min_strength {self.min_strength} above max_strength {self.max_strength};"
                " expected the smaller one first"
            )
        check_ranges(self.bounds)
        return self
