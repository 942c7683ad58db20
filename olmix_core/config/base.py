"""What every part of the configuration has in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Label = Annotated[str, Field(pattern=r"^[^:/\\\x00-\x1f]+$", max_length=100)]


class Section(BaseModel):
    """A part of the configuration. Unknown fields are refused: a misspelt field must not be a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
