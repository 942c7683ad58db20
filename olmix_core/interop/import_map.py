"""The file that says what the columns of a swarm run elsewhere are: content, tasks, recipe, tokenizer.

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

Content that is declared by its label is the same content wherever that label is declared, and never that of files.
"""

import csv
import re
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from olmix_core.config.base import Section
from olmix_core.config.config import Config
from olmix_core.config.domains import Domain
from olmix_core.config.evaluation import Evaluation, Task
from olmix_core.config.recipe import ProxyRecipe
from olmix_core.config.tokenizer import TokenizerFile
from olmix_core.config.yaml import read_mapping, shown
from olmix_core.data.domains import DomainSet, read_domains
from olmix_core.data.tasks import read_tasks
from olmix_core.data.tokenizer import load_tokenizer
from olmix_core.errors import ConfigError, DataError
from olmix_core.evidence.rows import declared
from olmix_core.identity import content_fingerprint
from olmix_core.storage.content_index import ContentIndex

Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0)]
DECLARED = "declared"


class Choice(Section):
    """A section of which exactly one field is given."""

    @model_validator(mode="after")
    def _one(self) -> "Choice":
        if len(self.model_fields_set & set(self.ways)) != 1:
            found = " and ".join(sorted(self.model_fields_set)) or "none of them"
            raise ValueError(f"found {found}; expected exactly one of {', '.join(self.ways)}")
        return self

    @property
    def ways(self) -> list[str]:
        return [name for name in type(self).model_fields if name not in ("text_field", "dtype", "eos")]


class Content(Choice):
    """What a column of ratios.csv stands for."""

    paths: list[str] | str | None = None
    manifest: str | None = None
    fingerprint: Fingerprint | None = None
    mixture: dict[str, Share] | None = None
    text_field: str = "text"
    dtype: Literal["uint16", "uint32"] | None = None


class Measured(Choice):
    """What a column of metrics.csv stands for."""

    file: str | None = None
    fingerprint: Fingerprint | None = None


class Recipe(Choice):
    """How the proxies were made."""

    proxy: ProxyRecipe | None = None
    declared: str | None = None

    @model_validator(mode="after")
    def _is_in_numbers(self) -> "Recipe":
        if self.proxy is not None and (self.proxy.tokens is None or self.proxy.leaf_share == "match"):
            raise ValueError(
                "found a recipe with chinchilla or leaf_share: match; expected tokens and leaf_share as numbers"
            )
        return self


class Tokenized(Choice):
    """How text became tokens."""

    path: str | None = None
    eos: str | None = None
    fingerprint: Fingerprint | None = None
    declared: str | None = None


class ImportMap(Section):
    """A whole map."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=60)]
    recipe: Recipe
    tokenizer: Tokenized
    domains: Literal["declared"] | dict[str, Literal["declared"] | Content]
    tasks: Literal["declared"] | dict[str, Literal["declared"] | Measured]


def load_map(path: Path) -> ImportMap:
    """Read a map. Raises ConfigError."""
    data = read_mapping(path, f"a mapping with {', '.join(ImportMap.model_fields)}")
    try:
        return ImportMap.model_validate(data)
    except ValidationError as error:
        raise _problem(path, error) from error


def _problem(path: Path, error: ValidationError) -> ConfigError:
    """The first problem, in the project's words; `declared` is never what was meant where a mapping stands."""
    problem = next((one for one in error.errors() if one["type"] != "literal_error"), error.errors()[0])
    # Pydantic names the kinds that it tried between the fields.
    parts = [str(part) for part in problem["loc"] if not re.match(r"(function-after|literal|dict)\[", str(part))]
    field, kind, message = ".".join(parts) or "(file)", problem["type"], problem["msg"]
    if kind == "value_error":
        found, _, expected = message.removeprefix("Value error, found ").partition("; expected ")
        return ConfigError(str(path), field, found, expected)
    if kind == "missing":
        return ConfigError(str(path), field, "nothing", "this field, which is required")
    if kind == "extra_forbidden":
        return ConfigError(str(path), field, "an unknown field", "one of those that docs/evidence.md lists")
    if kind in ("model_type", "dict_type", "model_attributes_type", "literal_error"):
        return ConfigError(str(path), field, shown(problem["input"]), "a mapping, or the word declared")
    if kind == "string_pattern_mismatch" and parts[-1] == "fingerprint":
        return ConfigError(str(path), field, shown(problem["input"]), "64 hexadecimal digits")
    expected = re.sub(r"^(Input|String|List|Dictionary) should (be )?", "", message)
    return ConfigError(str(path), field, shown(problem["input"]), expected)


def entries(given: str | Mapping[str, Any], columns: list[str]) -> dict[str, Any]:
    """{column: what the map says of it}; the word `declared` stands for all columns."""
    return dict.fromkeys(columns, DECLARED) if isinstance(given, str) else dict(given)


def contents(file: Path, given: Mapping[str, str | Content]) -> dict[str, str]:
    """{column: fingerprint of its content}, of a map read from `file`; mixtures of other columns are left out.

    Raises:
        ConfigError, DataError: content that cannot be read, or two columns with the same.
    """
    found: dict[str, str] = {}
    with closing(ContentIndex()) as index:
        for column, entry in given.items():
            if isinstance(entry, str):
                found[column] = declared(column)
            elif entry.fingerprint is not None:
                found[column] = entry.fingerprint
            elif entry.manifest is not None:
                found[column] = _manifest(_place(file, entry.manifest), f"domains.{column}.manifest", str(file))
            elif entry.paths is not None:
                found[column] = _fingerprint(file, column, entry, index)
    _differ(file, "domains", found)
    return found


def tasks(file: Path, given: Mapping[str, str | Measured]) -> dict[str, str]:
    """{column: fingerprint of the task}, of a map read from `file`. Raises ConfigError, DataError."""
    found: dict[str, str] = {}
    with closing(ContentIndex()) as index:
        for column, entry in given.items():
            if isinstance(entry, str):
                found[column] = declared(column)
            elif entry.fingerprint is not None:
                found[column] = entry.fingerprint
            elif entry.file is not None:
                config = _config([Domain(name="any", paths=["any"])], str(_place(file, entry.file)))
                try:
                    [read] = read_tasks(config, str(file), DomainSet(()), index)
                except ConfigError as error:
                    raise ConfigError(str(file), f"tasks.{column}.file", error.found, error.expected) from error
                found[column] = read.fingerprint
    _differ(file, "tasks", found)
    return found


def tokenizer(file: Path, given: Tokenized) -> str:
    """The fingerprint of the tokenizer. Raises ConfigError, DataError."""
    if given.path is None:
        return given.fingerprint or declared(str(given.declared))
    path = _place(file, given.path)
    try:
        definition = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise ConfigError(str(file), "tokenizer.path", f"{path}: {reason}", "a tokenizer.json") from error
    return load_tokenizer(definition, str(path), given.eos).fingerprint


def _place(file: Path, path: str) -> Path:
    return file.parent / Path(path).expanduser()


def _config(domains: list[Domain], task: str) -> Config:
    """A configuration that reads content just as one of a mix would; files of tokens may be among it."""
    return Config(
        name="import",
        domains=domains,
        tokenizer=TokenizerFile(kind="file", path="any"),
        evaluation=Evaluation(tasks=[Task(name="any", file=task)]),
    )


def _fingerprint(file: Path, column: str, entry: Content, index: ContentIndex) -> str:
    given = [entry.paths] if isinstance(entry.paths, str) else entry.paths or []
    paths = [path if "://" in path else str(_place(file, path)) for path in given]
    leaf = Domain(name="any", paths=paths, text_field=entry.text_field, dtype=entry.dtype)
    try:
        return read_domains(_config([leaf], "any"), str(file), index).fingerprints[0]
    except ConfigError as error:
        raise ConfigError(str(file), f"domains.{column}.paths", error.found, error.expected) from error


def _manifest(path: Path, field: str, file: str) -> str:
    """The fingerprint of content given by a CSV file with the columns hash, size and reader, a row per file."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise ConfigError(file, field, f"{path}: {reason}", "a CSV file with the columns hash, size, reader") from error
    found = []
    for number, row in enumerate(rows, start=2):
        try:
            found.append((str(row["hash"]).strip(), int(row["size"]), str(row["reader"]).strip()))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path}: line {number}: found {row}; expected hash, size (bytes) and reader of a file"
            ) from error
    if not found:
        raise DataError(f"{path}: found no files; expected a row per file, with hash, size and reader")
    return content_fingerprint(found)


def _differ(file: Path, section: str, found: Mapping[str, str]) -> None:
    """Raise ConfigError where two columns are the same thing."""
    seen: dict[str, str] = {}
    for column, fingerprint in found.items():
        if fingerprint in seen:
            raise ConfigError(
                str(file), f"{section}.{column}", f"what {seen[fingerprint]!r} is", "every column to be another thing"
            )
        seen[fingerprint] = column
