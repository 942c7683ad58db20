"""The map of a swarm that was run elsewhere: content and tasks of its columns, recipe and tokenizer.

    name: dclm24                                   # of the swarm
    recipe: {proxy: {layers: 2, ...}}              # the section `proxy` of a configuration, or {declared: TEXT}
    tokenizer: {path: tokenizer.json}              # or {fingerprint: ...}, or {declared: TEXT}
    domains:                                       # column of ratios.csv -> content; or `declared` for all columns
      web: {paths: web/*.jsonl}                    # fingerprinted as a leaf of a configuration is
      code: {manifest: code.csv}                   # the same from a list of (hash, size, reader) per file
      wiki: {fingerprint: 5feceb66...}             # of a leaf on record
      math: declared                               # known by its label only
      existing: {mixture: {web: 0.7, wiki: 0.3}}   # a column of frozen ratios
    tasks:                                         # column of metrics.csv -> task; or `declared` for all columns
      arc: {file: tasks/arc.jsonl}                 # or {fingerprint: ...}, or declared
    metrics:                                       # columns that are not in bits per byte (see `metric_units`)
      acc: {as: higher_is_better}

Content that is declared by its label is the same content wherever that label is declared, and never that of files.
White space around labels of columns is dropped.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PositiveFloat, model_validator

from olmix_core.config.base import Section
from olmix_core.config.recipe import ProxyRecipe
from olmix_core.config.yaml import shown
from olmix_core.interop.labels import StripKeys
from olmix_core.interop.metric_units import Metric
from olmix_core.interop.section import read_section

DECLARED = "declared"


def _check_fingerprint(value: str) -> str:
    if len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise ValueError(f"found {shown(value)}; expected 64 hexadecimal digits")
    return value


def _read_entry(value: Any) -> Any:
    """An entry, for which the word `declared` may stand."""
    if value == DECLARED:
        return {DECLARED: True}
    if not isinstance(value, dict):
        raise ValueError(f"found {shown(value)}; expected a mapping, or the word declared")
    return value


def _read_entries(value: Any) -> Any:
    """Entries by column, or None for the word `declared`, which stands for all columns."""
    if value == DECLARED:
        return None
    if not isinstance(value, dict):
        raise ValueError(f"found {shown(value)}; expected a mapping, or the word declared")
    return value


Fingerprint = Annotated[str, AfterValidator(_check_fingerprint)]
Share = Annotated[float, Field(ge=0)]


_DETAILS = ("text_field", "dtype", "eos", "skip", "parameters", "tokens")  # fields beside the one that is given


class Choice(Section):
    """A section of which exactly one field is given."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "Choice":
        present, ways = self.model_fields_set, [name for name in type(self).model_fields if name not in _DETAILS]
        if len(present & set(ways)) != 1:
            names = " and ".join(sorted(present)) or "none of them"
            raise ValueError(f"found {names}; expected exactly one of {', '.join(ways)}")
        return self


class Entry(Choice):
    """What a column stands for: something known by its fingerprint, or by the name of the column only."""

    fingerprint: Fingerprint | None = None
    declared: bool = False


class DomainEntry(Entry):
    """What a column of ratios.csv stands for."""

    paths: list[str] | str | None = None
    manifest: str | None = None
    mixture: Annotated[dict[str, Share] | None, StripKeys] = None
    skip: list[str] = Field([])
    text_field: str = "text"
    dtype: Literal["uint16", "uint32", "int32", "int64"] | None = None


class TaskEntry(Entry):
    """What a column of metrics.csv stands for."""

    file: str | None = None


class RecipeEntry(Choice):
    """How the proxies were made."""

    proxy: ProxyRecipe | None = None
    declared: str | None = None
    parameters: PositiveFloat | None = None
    tokens: PositiveFloat | None = None

    @model_validator(mode="after")
    def _is_in_numbers(self) -> "RecipeEntry":
        if self.proxy is not None and (self.parameters or self.tokens):
            raise ValueError("found parameters or tokens beside proxy; expected them beside declared only")
        if (self.parameters is None) != (self.tokens is None):
            raise ValueError("found one of parameters and tokens; expected both, or neither")
        if self.proxy is not None and (self.proxy.tokens is None or self.proxy.leaf_share == "match"):
            raise ValueError(
                "found a recipe with chinchilla or leaf_share: match; expected tokens and leaf_share as numbers"
            )
        return self


class TokenizerEntry(Choice):
    """How text became tokens."""

    path: str | None = None
    eos: str | None = None
    fingerprint: Fingerprint | None = None
    declared: str | None = None


class ImportMap(Section):
    """A whole map; `domains` and `tasks` are None where all columns are declared."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=60)]
    recipe: RecipeEntry
    tokenizer: TokenizerEntry
    domains: Annotated[
        dict[str, Annotated[DomainEntry, BeforeValidator(_read_entry)]] | None,
        BeforeValidator(_read_entries),
        StripKeys,
    ]
    tasks: Annotated[
        dict[str, Annotated[TaskEntry, BeforeValidator(_read_entry)]] | None, BeforeValidator(_read_entries), StripKeys
    ]
    metrics: Annotated[dict[str, Metric], StripKeys] = Field(default_factory=dict)


EntryT = TypeVar("EntryT", bound=Entry)


def load_map(path: Path) -> ImportMap:
    """Read a map.

    Args:
        path: A YAML file.

    Returns:
        The map.

    Raises:
        ConfigError: If the file cannot be read, or is not a map.
    """
    return read_section(ImportMap, path, f"a mapping with {', '.join(ImportMap.model_fields)}")


def entries(section: Mapping[str, EntryT] | None, columns: Sequence[str], kind: type[EntryT]) -> dict[str, EntryT]:
    """List the entries of a section of the map.

    Args:
        section: The section; None where all columns are declared.
        columns: The columns of the file.
        kind: Type of the entries.

    Returns:
        {column: entry}.
    """
    return {column: kind(declared=True) for column in columns} if section is None else dict(section)
