"""The section `domains` of the configuration: the tree of domains to mix."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from olmix_core.config.base import Label, Section


class Domain(Section):
    """A node of the domain tree: a source, a topic of a source, or a quality bucket of a topic or source."""

    name: Label = Field(description="Label of this node; a leaf is named source:topic:quality.")
    paths: list[str] | None = Field(
        None,
        description="Files, folders or globs (** allowed) of this leaf, local or on any fsspec URL.",
    )
    topics: list["Domain"] | None = Field(None, description="Topics of this source.")
    quality: list["Domain"] | None = Field(None, description="Quality buckets of this node.")
    weight: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="Pinned share among its siblings; all siblings have one, and they add up to 1, or none has.",
    )
    partition_of: str | None = Field(
        None,
        description="Leaf of the last mix that this node and its siblings replace, if the text is in new files.",
    )
    tokens: Annotated[int, Field(gt=0)] | None = Field(
        None,
        description="Tokens that the files of this leaf stand for, if they are a sample of it.",
    )
    scale: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = Field(
        None,
        description="How many times their tokens the files here and below stand for, if they are a sample.",
    )
    skip: list[str] = Field(
        [],
        description="Globs of files to leave out, here and below, such as *.pdf; matched with the end of a path.",
    )
    text_field: str = Field("text", description="Field (JSON) or column (Parquet, Arrow, CSV) that holds the text.")
    dtype: Literal["uint16", "uint32", "int32", "int64"] | None = Field(
        None,
        description="Type of raw token files; by default the smallest that fits the tokenizer's vocabulary.",
    )

    @field_validator("paths", "skip", mode="before")
    @classmethod
    def _one_path_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_kind(self) -> "Domain":
        kinds = [kind for kind in ("paths", "topics", "quality") if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(
                f"found {' and '.join(kinds) or 'none of them'}; expected exactly one of paths, topics, quality"
            )
        if self.paths is not None and (not self.paths or not all(path.strip() for path in self.paths)):
            raise ValueError("found an empty path; expected at least one file or glob")
        if self.tokens is not None and self.scale is not None:
            raise ValueError("found tokens and scale; expected one of them, to say what the files stand for")
        if self.tokens is not None and self.paths is None:
            raise ValueError("found tokens on a node without paths; expected scale, or tokens for each of its leaves")
        if not all(pattern.strip("/ ") for pattern in self.skip):
            raise ValueError("found an empty glob in skip; expected globs such as *.pdf")
        children = self.children
        if self.paths is None and not children:
            raise ValueError(f"found an empty list of {kinds[0]}; expected at least one")
        check_siblings(children)
        for child in children:
            if child.weight is not None and not child.is_frozen:
                raise ValueError(
                    f"found a weight for {child.name!r}, whose parts have none; expected weights for its parts too,"
                    " since a pinned share fixes all that is below it"
                )
        return self

    @property
    def children(self) -> list["Domain"]:
        """The topics or quality buckets of this node; none for a leaf."""
        return self.topics or self.quality or []

    @property
    def is_frozen(self) -> bool:
        """Whether the shares of the leaves below this node are all fixed."""
        pinned = len(self.children) < 2 or self.children[0].weight is not None
        return pinned and all(child.is_frozen for child in self.children)


def check_siblings(nodes: list[Domain]) -> None:
    """Check that siblings have different names, and that all of their weights or none are pinned.

    Args:
        nodes: The siblings.

    Raises:
        ValueError: They do not.
    """
    names = [node.name for node in nodes]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"found the name {name!r} twice; expected different names for siblings")
    weights = [node.weight for node in nodes if node.weight is not None]
    if weights and len(weights) < len(nodes):
        without = next(node.name for node in nodes if node.weight is None)
        raise ValueError(f"found no weight for {without!r}; expected a weight for all of these siblings or for none")
    if weights and abs(sum(weights) - 1) > 1e-6:
        raise ValueError(f"found weights that add up to {sum(weights):.6g}; expected 1")
