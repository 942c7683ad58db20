"""The section `reuse` of the configuration: what to keep of the last mix of the same name."""

from typing import Literal

from pydantic import Field, model_validator

from olmix_core.config.base import Section


class Reuse(Section):
    """What to keep of the mix that was published last under this name (paper, section 5)."""

    strategy: Literal["auto", "full_reuse", "partial_reuse", "full_recompute"] = Field(
        "auto",
        description="full_recompute: every leaf is free, without earlier evidence. full_reuse: unaffected leaves keep"
        " their ratios. partial_reuse: the same, except those in release. auto: every leaf is free; earlier evidence"
        " replaces most of the runs.",
    )
    release: list[str] = Field([], description="Unaffected leaves to recompute, for partial_reuse.")

    @property
    def builds_on_base(self) -> bool:
        """Whether ratios or evidence of the last mix are used at all."""
        return self.strategy != "full_recompute"

    @property
    def is_automatic(self) -> bool:
        """Whether evidence decides what is explored: that of the whole ledger, and the coupling of the leaves."""
        return self.strategy == "auto"

    @model_validator(mode="after")
    def _release_needs_partial_reuse(self) -> "Reuse":
        if bool(self.release) != (self.strategy == "partial_reuse"):
            raise ValueError(
                f"found strategy {self.strategy} with {len(self.release)} leaves to release; expected leaves to release"
                " with partial_reuse, and only with it"
            )
        return self
