"""Parts that every section of the configuration shares."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Label = Annotated[str, Field(pattern=r"^[^:/\\\x00-\x1f]+$", max_length=100)]


class Section(BaseModel):
    """A part of the configuration. Unknown fields are refused: a misspelt field must not be a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def check_ranges(bounds: Mapping[str, tuple[float, float]]) -> None:
    """Check that every range of weights is ordered and within [0, 1].

    Args:
        bounds: {name: (low, high)}.

    Raises:
        ValueError: A range is impossible.
    """
    for name, (low, high) in bounds.items():
        if not 0 <= low <= high <= 1:
            raise ValueError(f"found bounds [{low}, {high}] for {name!r}; expected 0 <= low <= high <= 1")
