"""The section `swarm` of the configuration: the mixtures that the proxies train on."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, model_validator

from olmix_core.config.base import Section, check_ranges


class Swarm(Section):
    """The mixtures that the proxies train on (paper, section 3)."""

    runs: Annotated[int, Field(ge=2)] | None = Field(
        None, description="Proxies K; 3 (d + 1) for d free dimensions where it is left out."
    )
    rounds: Annotated[int, Field(ge=1)] = Field(
        1,
        description="Parts in which the proxies are trained. 1: all are drawn at once. More: each further part is"
        " chosen by how much it is expected to tell about the best mixture.",
    )
    tolerance: NonNegativeFloat = Field(
        0.0, description="With rounds: stop when less than this is still to be gained, in BPB."
    )
    seed: NonNegativeInt = Field(0, description="Seed of the mixtures; mixture i depends on (seed, i) alone.")
    sparsity: Literal["sparse", "dense"] = Field(
        "sparse",
        description="sparse: small weights become exactly 0. dense: no weight is below the minimum.",
    )
    minimum_weight: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.002, description="Threshold below which `sparsity` treats a weight as small."
    )
    min_strength: PositiveFloat = Field(0.1, description="Smallest Dirichlet strength (most extreme mixtures).")
    max_strength: PositiveFloat = Field(5.0, description="Largest Dirichlet strength (mixtures nearest to natural).")
    bounds: dict[str, tuple[float, float]] = Field({}, description="Lowest and highest weight in any mixture, by leaf.")

    @model_validator(mode="after")
    def _ranges_are_ordered(self) -> "Swarm":
        if self.min_strength > self.max_strength:
            raise ValueError(
                f"found min_strength {self.min_strength} above max_strength {self.max_strength};"
                " expected the smaller one first"
            )
        check_ranges(self.bounds)
        return self
