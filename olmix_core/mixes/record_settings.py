"""Settings in mix.json: the sections of a configuration as they were, and the tokenizer; see `record`."""

from pydantic import ConfigDict, Field, JsonValue, SerializerFunctionWrapHandler, model_serializer

from olmix_core.config.surrogate import SurrogateSettings
from olmix_core.config.swarm import Swarm
from olmix_core.mixes.record_parts import RecordPart
from olmix_core.serialization import JsonObject


class SettingsPart(RecordPart):
    """A part of the settings; keys of another version are kept, so that `diff` can show them."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @model_serializer(mode="wrap")
    def _without_omitted(self, dump: SerializerFunctionWrapHandler) -> JsonObject:
        values: JsonObject = dump(self)
        omitted = self.OMITTED - self.model_fields_set  # null stays where it was read
        return {name: value for name, value in values.items() if value is not None or name not in omitted}


class ProposalSettings(SettingsPart):
    """Section `proposal` of the configuration."""

    kl: float
    target_tokens: float | None = None
    repetition: float
    reference: JsonValue = None
    pessimism: float = 0.0
    groups: JsonValue = None
    bounds: JsonValue = None
    sequence_length: int


class ReuseSettings(SettingsPart):
    """Section `reuse` of the configuration."""

    strategy: str


class ProxySettings(SettingsPart):
    """The recipe of the proxies written out (`ProxyRecipe.identity`); what had no effect is None and left out."""

    OMITTED = frozenset(
        {"layers", "width", "heads", "sequence_length", "batch_size", "learning_rate", "warmup", "final_learning_rate"}
        | {"weight_decay", "precision", "document_mask", "leaf_share", "trainer", "seed", "mlp_width"}
    )

    layers: int | None = None
    width: int | None = None
    heads: int | None = None
    sequence_length: int | None = None
    batch_size: int | None = None
    tokens: int
    learning_rate: float | None = None
    warmup: float | None = None
    final_learning_rate: float | None = None
    weight_decay: float | None = None
    precision: str | None = None
    document_mask: bool | None = None
    leaf_share: float | None = None
    trainer: str | None = None
    seed: int | None = None
    mlp_width: int | None = None


class SwarmSettings(Swarm):
    """Section `swarm` of the configuration; keys of another version are kept."""

    model_config = ConfigDict(extra="allow")


class SurrogateFitSettings(SurrogateSettings):
    """Section `surrogate` of the configuration; keys of another version are kept."""

    model_config = ConfigDict(extra="allow")


class MixSettings(SettingsPart):
    """The sections of the configuration that a mix rests on; `proxy` is the recipe written out."""

    proxy: ProxySettings
    swarm: SwarmSettings
    surrogate: SurrogateFitSettings
    proposal: ProposalSettings
    reuse: ReuseSettings


class FitFiltering(SettingsPart):
    """Section `filtering` of a fit configuration."""

    fixed_weight: dict[str, float] = Field(default_factory=dict)


class FitProposer(SettingsPart):
    """Section `proposer` of a fit configuration; kl_reg is None for the paper's strength."""

    kl_reg: float | None = None


class FitConstraints(SettingsPart):
    """Section `constraints` of a fit configuration."""

    repetition_factor: float


class FitRecordSettings(SettingsPart):
    """The fit configuration."""

    filtering: FitFiltering
    proposer: FitProposer
    constraints: FitConstraints


class TokenizerRecordSettings(SettingsPart):
    """What the tokenizer is: its kind, and the fields of that kind (`tasks.steps.tokenizer.TokenizerSettings`)."""

    OMITTED = frozenset({"vocab_size", "content", "ignores", "eos"})

    kind: str
    vocab_size: int | None = None
    content: str | None = None
    ignores: tuple[str, ...] | None = None
    eos: str | None = None


class TokenizerRecord(RecordPart):
    """The tokenizer: its settings, and the fingerprint of what they made."""

    settings: TokenizerRecordSettings
    fingerprint: str
