"""The configuration: one YAML file with the domains to mix, the proxies to train and the mixture to propose.

Required are `name`, `domains` and `evaluation.tasks`; everything else has a default, that of the paper where it has
one. Each section has a module of its own; `load` reads a file.
"""

from typing import Annotated, Any

from pydantic import (
    Field,
    field_validator,
    model_validator,
)

from olmix_core.config.base import Section
from olmix_core.config.domains import Domain, check_siblings
from olmix_core.config.evaluation import Evaluation
from olmix_core.config.execution import Execution
from olmix_core.config.proposal import ProposalSettings
from olmix_core.config.recipe import AnchorRecipe, ProxyRecipe
from olmix_core.config.reuse import Reuse
from olmix_core.config.surrogate import SurrogateSettings
from olmix_core.config.swarm import Swarm
from olmix_core.config.tokenizer import Bytes, TokenizerFile, TrainedBPE


class Config(Section):
    """A whole configuration file."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)] = Field(
        description="Name of the mix: lower case, digits, dashes. Runs of one name form a lineage."
    )
    store: Annotated[str, Field(min_length=1)] = Field(
        ".olmix", description="Folder or URL of the store, which holds all output of runs."
    )
    domains: list[Domain] = Field(min_length=1, description="The tree of domains.")
    tokenizer: Annotated[TrainedBPE | TokenizerFile | Bytes, Field(discriminator="kind")] = Field(
        TrainedBPE(), description="How text is tokenised."
    )
    proxy: ProxyRecipe = Field(ProxyRecipe(), description="The recipe of the proxies.")
    anchors: list[AnchorRecipe] = Field(
        [], description="Larger proxies, a few of each, that show how the effect of the mixture changes with size."
    )
    execution: Execution = Field(Execution(), description="Where and how long proxies may run.")
    evaluation: Evaluation = Field(description="The tasks whose mean BPB the mixture minimises.")
    swarm: Swarm = Field(Swarm(), description="The mixtures that the proxies train on.")
    surrogate: SurrogateSettings = Field(SurrogateSettings(), description="The law fitted to the evidence.")
    proposal: ProposalSettings = Field(ProposalSettings(), description="Objective and constraints of the mixture.")
    reuse: Reuse = Field(Reuse(), description="What is kept from the last mix of this name.")

    @field_validator("tokenizer", mode="before")
    @classmethod
    def _tokenizer_by_kind(cls, value: Any) -> Any:
        if isinstance(value, dict) and "kind" not in value:
            return {"kind": "file" if "path" in value else "bpe", **value}
        return value

    @model_validator(mode="after")
    def _a_share_to_match_has_a_target(self) -> "Config":
        if self.proxy.leaf_share == "match" and self.proposal.run_tokens is None:
            raise ValueError("found proxy.leaf_share: match without a target; expected proposal.target_tokens with it")
        return self

    @model_validator(mode="after")
    def _a_target_knows_all_sizes(self) -> "Config":
        if self.anchors and self.proposal.target is None:
            raise ValueError("found anchors without a target; expected proposal.target, the run that they are for")
        for name, recipe in (("proxy", self.proxy), *((f"anchors[{i}]", one) for i, one in enumerate(self.anchors))):
            sized = recipe.recipe != "tiny" or {"layers", "width", "tokens"} <= recipe.model_fields_set
            if self.proposal.target and recipe.trainer and not sized:
                raise ValueError(
                    f"found {name} with a trainer and no size; expected layers, width and tokens of the models that it"
                    " trains, from which proposal.target extrapolates"
                )
        return self

    @model_validator(mode="after")
    def _sources_are_free(self) -> "Config":
        check_siblings(self.domains)
        for domain in self.domains:
            if domain.weight is not None:
                raise ValueError(
                    f"found a weight for the source {domain.name!r}; expected weights only on topics and quality"
                    " buckets, since the weights of sources are what is looked for"
                )
        return self
