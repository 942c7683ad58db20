"""The section `proxy` of the configuration: the recipe of the proxies, which is model, amount of data and training.

`proxy.recipe` names a preset that every field left out is taken from. `tiny` was measured on one CPU thread; the others
have the shapes of OLMo's models of that name and follow rules for a model of N parameters:

    learning rate   0.0047 (N / 108M)^(-1/3)               Porian et al. 2024, arXiv 2406.19146; OLMo's model ladder,
    batch           327,680 (N / 108M)^(2/3) tokens,       Bhagia et al. 2024, arXiv 2412.04403
                    to the nearest power of two
    warm-up         at most 5 % of training, then linear decay to 0
    tokens          5 x 20 N                               5 times Chinchilla's 20 tokens per parameter (arXiv
                                                           2203.15556), as in the paper

The identity of a proxy contains its recipe written out (`identity`), not the name of the preset. A setting that was
added later is left out of it where it has no effect, so that proxies trained before are found again.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from olmix_core.config.base import Section
from olmix_core.serialization import Scalar

TOKENS_PER_PARAMETER = 20

# From this size on, proxies rank mixtures like a 1B model (paper, section 4).
RELIABLE_PARAMETERS = 15_000_000

Preset = dict[str, int | float | str | None]


def _preset(parameters: float, layers: int, width: int, heads: int, mlp_width: int) -> Preset:
    """A preset by the rules above."""
    length = 4096
    batch = 327_680 * (parameters / 108e6) ** (2 / 3)
    return {
        "layers": layers,
        "width": width,
        "heads": heads,
        "mlp_width": mlp_width,
        "sequence_length": length,
        "batch_size": max(1, 2 ** round(math.log2(batch)) // length),
        "tokens": None,
        "chinchilla": 5.0,
        "learning_rate": float(f"{0.0047 * (parameters / 108e6) ** (-1 / 3):.2g}"),
        "precision": "bfloat16",
    }


PRESETS: dict[str, Preset] = {
    "tiny": {},  # the defaults of the fields
    "15m": _preset(15e6, layers=4, width=128, heads=8, mlp_width=352),
    "30m": _preset(30e6, layers=4, width=256, heads=8, mlp_width=688),
    "60m": _preset(60e6, layers=8, width=384, heads=8, mlp_width=1536),
    "190m": _preset(190e6, layers=12, width=768, heads=12, mlp_width=3072),
    "1b": _preset(1e9, layers=16, width=2048, heads=16, mlp_width=8192),
}


class ProxyRecipe(Section):
    """The recipe of the proxies. All of it but the name of the preset is part of the identity of a proxy."""

    recipe: Literal["tiny", "15m", "30m", "60m", "190m", "1b"] = Field(
        "tiny", description="Preset for all fields that are not set; the defaults shown are those of tiny."
    )
    layers: PositiveInt = Field(2, description="Transformer blocks.")
    width: PositiveInt = Field(64, description="Size of the residual stream.")
    heads: PositiveInt = Field(2, description="Attention heads; width must be divisible by twice this number.")
    mlp_width: PositiveInt | None = Field(
        None, description="Hidden size of the MLP; default: 8/3 of width, rounded up to a multiple of 16."
    )
    sequence_length: Annotated[int, Field(ge=16)] = Field(128, description="Tokens per training sequence.")
    batch_size: PositiveInt = Field(4, description="Sequences per batch.")
    tokens: PositiveInt | None = Field(262_144, description="Tokens that a proxy trains on.")
    chinchilla: PositiveFloat | None = Field(
        None, description="Training tokens as a multiple of 20 per parameter, instead of tokens."
    )
    learning_rate: PositiveFloat = Field(8e-3, description="Peak learning rate of AdamW.")
    warmup: Annotated[float, Field(ge=0, lt=1)] = Field(0.05, description="Fraction of the steps used for warm-up.")
    final_learning_rate: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="Final learning rate as a fraction of the peak; the decay is linear."
    )
    weight_decay: NonNegativeFloat = Field(0.1, description="Decoupled weight decay of the matrices.")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="Arithmetic of the matrix products.")
    document_mask: bool = Field(False, description="Whether attention stays within a passage of a document.")
    leaf_share: Annotated[float, Field(gt=0, le=1)] | Literal["match"] = Field(
        1.0,
        description="Share of each leaf that proxies see; match: repeat it as often as the target run does.",
    )
    trainer: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="Name and version of your own trainer, which execution.command runs."
    )
    retry_diverged: bool = Field(
        False, description="Whether to train a diverged proxy once more with its data in another order."
    )
    seed: NonNegativeInt = Field(0, description="Seed of the initial weights and of the order of the data.")

    @model_validator(mode="before")
    @classmethod
    def _start_from_the_preset(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        name = data.get("recipe", "tiny")
        preset = dict(PRESETS.get(name, {})) if isinstance(name, str) else {}  # other names are refused by their type
        if "tokens" in data or "chinchilla" in data:  # either replaces both of the preset
            preset |= {"tokens": None, "chinchilla": None}
        return {**preset, **data}

    @model_validator(mode="after")
    def _shapes_fit(self) -> "ProxyRecipe":
        if self.width % (2 * self.heads):
            raise ValueError(
                f"found width {self.width} with {self.heads} heads; expected a width divisible by twice the heads"
            )
        if (self.tokens is None) == (self.chinchilla is None):
            count = "neither" if self.tokens is None else "both"
            raise ValueError(f"found {count}; expected exactly one of tokens and chinchilla")
        if self.tokens is not None and self.tokens < self.sequence_length * self.batch_size:
            raise ValueError(
                f"found {self.tokens} tokens; expected at least one batch"
                f" ({self.batch_size} x {self.sequence_length} tokens)"
            )
        return self

    @property
    def mlp(self) -> int:
        """Hidden size of the MLP."""
        return self.mlp_width or 16 * math.ceil(self.width * 8 / 3 / 16)

    @property
    def steps(self) -> int:
        """Training steps; `counted` must have set the tokens."""
        assert self.tokens is not None, "chinchilla: to be counted first"
        return self.tokens // (self.batch_size * self.sequence_length)

    def parameters(self, vocab_size: int) -> int:
        """Count the parameters; the embeddings, tied to the output layer, count once.

        Args:
            vocab_size: Entries of the vocabulary.

        Returns:
            Number of parameters.
        """
        block = 4 * self.width**2 + 3 * self.width * self.mlp + 2 * self.width
        return self.layers * block + vocab_size * self.width + self.width

    @property
    def share(self) -> float:
        """Share of each leaf that proxies see; `counted` must have set it."""
        assert self.leaf_share != "match", "leaf_share: to be counted first"
        return self.leaf_share

    def counted(self, vocab_size: int, target_tokens: float | None = None) -> "ProxyRecipe":
        """Replace relative settings by numbers.

        Args:
            vocab_size: Entries of the vocabulary.
            target_tokens: Tokens R of the run that the mixture is for; needed for ``leaf_share: match``.

        Returns:
            The recipe with `tokens`, in whole batches, in place of `chinchilla`, and with ``leaf_share: match`` as
            tokens / target_tokens, at most 1.
        """
        batch = self.batch_size * self.sequence_length
        tokens, share = self.tokens, self.leaf_share
        if self.chinchilla is not None:
            budget = self.chinchilla * TOKENS_PER_PARAMETER * self.parameters(vocab_size)
            tokens = max(1, round(budget / batch)) * batch
        if share == "match":
            assert tokens is not None
            assert target_tokens is not None, "leaf_share: match needs the tokens of the target"
            share = min(1.0, tokens / target_tokens)
        return self.model_copy(update={"tokens": tokens, "chinchilla": None, "leaf_share": share})

    def identity(self) -> dict[str, Scalar]:
        """Write out the settings that are part of the keys of proxies, after `counted`.

        `retry_diverged` is not one of them: a second attempt has a key of its own.

        Returns:
            {field: value}.
        """
        settings: dict[str, Scalar] = self.model_dump(exclude={"recipe", "chinchilla", "retry_diverged", "mlp_width"})
        if self.mlp != self.model_copy(update={"mlp_width": None}).mlp:
            settings["mlp_width"] = self.mlp
        for name, neutral in (("document_mask", False), ("leaf_share", 1.0), ("trainer", None)):
            if settings[name] == neutral:
                del settings[name]
        return settings


class AnchorRecipe(ProxyRecipe):
    """The recipe of larger proxies, and how many there are: fields as in `proxy`."""

    runs: PositiveInt = Field(
        4, description="Number of these proxies; they train on the mixtures that represent the swarm best."
    )

    @property
    def proxy(self) -> ProxyRecipe:
        """The recipe of one of them."""
        return ProxyRecipe.model_validate(self.model_dump(exclude={"runs"}))


def caution(parameters: int) -> str | None:
    """Word a caution about proxies that are too small to rank mixtures reliably.

    Args:
        parameters: Number of parameters of a proxy.

    Returns:
        The caution, or None from `RELIABLE_PARAMETERS` on.
    """
    if parameters >= RELIABLE_PARAMETERS:
        return None
    return (
        f"proxies of {parameters:,} parameters rank mixtures only roughly: in the paper the rank correlation with 1B"
        " models is above 0.89 from 15M parameters on, and 0.73 with 1M. For a decision that matters take"
        " proxy.recipe 30m"
    )
