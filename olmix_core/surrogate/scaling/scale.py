"""The scale of a run: parameters and tokens."""

import math
from dataclasses import dataclass

from olmix_core.formatting import amount
from olmix_core.serialization import JsonRecord

_FLOPS = 6  # per parameter and token, forwards and backwards (Kaplan et al. 2020, arXiv 2001.08361, section 2.1)


@dataclass(frozen=True)
class Scale(JsonRecord):
    """The scale of a run.

    Attributes:
        parameters: Parameters N of the model without its embeddings.
        tokens: Tokens D that it trains on.
    """

    parameters: float
    tokens: float

    @property
    def flops(self) -> float:
        """Floating-point operations of the training, 6 N D."""
        return _FLOPS * self.parameters * self.tokens

    def distance(self, base: "Scale") -> float:
        """Compute how far the scale is from another one.

        Args:
            base: The other scale.

        Returns:
            Log of the ratio of their FLOPs.
        """
        return math.log(self.flops / base.flops)

    def __str__(self) -> str:
        return f"{amount(self.parameters)} parameters and {amount(self.tokens)} tokens"
