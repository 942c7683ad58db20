"""The fit configuration of the published tool (allenai/olmix), read unchanged.

    swarm: {ratios, metrics}                    two CSV files
    priors: {relative_sizes, token_counts}      per column of ratios
    eval: {type, tasks: {family: [metric, ...] or {task: metric}}}
    regression, proposer, constraints, filtering

Unknown fields are refused. Numbers may be text such as "7/52". White space around labels is dropped. Two fields are
extensions: `priors.virtual_domains`, {column: {leaf: share}}, describes a column of frozen ratios; `metrics` describes
columns that are not in bits per byte (see `metric_units`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from olmix_core.config.base import Section
from olmix_core.config.defaults import PAPER_KL
from olmix_core.interop.labels import ColumnLabel, StripKeys
from olmix_core.interop.metric_units import Metric
from olmix_core.interop.section import read_section
from olmix_core.surrogate.registry import registered_families
from olmix_core.surrogate.regression.laws import LOG_LINEAR

_GAUSSIAN_PROCESS = "gp"  # its name in the published tool


def _fraction(value: Any) -> Any:
    """The number of a text such as "7/52"; anything else unchanged, for pydantic to check."""
    if not isinstance(value, str) or value.count("/") != 1:
        return value
    above, below = value.split("/")
    try:
        return float(above) / float(below)
    except (ValueError, ZeroDivisionError):
        return value


Number = Annotated[float, BeforeValidator(_fraction)]
Share = Annotated[Number, Field(ge=0)]
ByColumn = Annotated[dict[str, Share], StripKeys]
TokensByColumn = Annotated[dict[str, Annotated[Number, Field(ge=1)]], StripKeys]


class SwarmFiles(Section):
    """The two CSV files, one row per proxy run."""

    ratios: str
    metrics: str


class Priors(Section):
    """Sizes of the domains: shares of the natural mixture, and tokens available."""

    relative_sizes: ByColumn = Field(default_factory=dict)
    token_counts: TokensByColumn = Field(default_factory=dict)
    total_tokens: Number | None = None
    virtual_domains: Annotated[dict[str, ByColumn], StripKeys] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _something(self) -> "Priors":
        if not self.relative_sizes and not self.token_counts:
            raise ValueError("found no sizes; expected relative_sizes, token_counts or both")
        for column, inner in self.virtual_domains.items():
            if not sum(inner.values()) > 0:
                raise ValueError(f"found no share > 0 in virtual_domains.{column}; expected the ratios inside it")
        return self


class Tasks(Section):
    """Metrics that are tasks, by family. In-loop tasks name a metric per task, offline ones list metrics."""

    type: Literal["inloop", "offline"] = "offline"
    tasks: dict[str, list[ColumnLabel] | dict[str, ColumnLabel]]

    @model_validator(mode="after")
    def _once(self) -> "Tasks":
        names = [name for family in self.families.values() for name in family]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"found the metric {twice[0]!r} twice; expected each metric in one family")
        return self

    @property
    def families(self) -> dict[str, list[str]]:
        """{family: names of metrics}."""
        return {
            family: list(members.values() if isinstance(members, dict) else members)
            for family, members in self.tasks.items()
        }


class Regression(Section):
    """The law, and the runs that it is fitted to."""

    type: str = LOG_LINEAR
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    n_test: Annotated[int, Field(ge=0)] = 0
    train_split: Annotated[Number, Field(gt=0)] = 1.0
    aggregate_task_families: bool = False

    @field_validator("type")
    @classmethod
    def _known(cls, value: str) -> str:
        if value == _GAUSSIAN_PROCESS:
            return "gaussian_process"
        names = [family.name for family in registered_families()]
        if value not in names:
            raise ValueError(f"found {value!r}; expected one of {', '.join(names)}")
        return value

    @field_validator("train_split", mode="before")
    @classmethod
    def _single(cls, value: Any) -> Any:
        # Several shares apply to several groups of runs, which two CSV files cannot distinguish.
        if isinstance(value, list) and len(value) == 1:
            return value[0]
        if isinstance(value, list):
            raise ValueError(f"found {len(value)} numbers; expected one share or number of runs")
        return value


class Proposer(Section):
    """How the mixture is proposed. Every type uses the exact solver."""

    type: Literal["exact", "simulation", "search"] = "exact"
    temperature: Number | None = None
    kl_reg: Share | None = None
    use_natural_kl: bool = False
    fit_only: bool = False
    make_worst_mix: bool = False

    @field_validator("make_worst_mix")
    @classmethod
    def _not_worst(cls, value: bool) -> bool:
        if value:
            raise ValueError("found true; expected false: only mixtures that lower the BPB are proposed")
        return value


class Constraints(Section):
    """At most `repetition_factor` epochs of a domain when training on `target_tokens`."""

    enabled: bool = False
    target_tokens: Annotated[Number, Field(gt=0)] | None = None
    repetition_factor: Annotated[Number, Field(gt=0)] = 4.0

    @model_validator(mode="after")
    def _complete(self) -> "Constraints":
        if self.enabled and self.target_tokens is None:
            raise ValueError("found enabled: true without target_tokens; expected the tokens to train on")
        return self


class Filtering(Section):
    """Runs, domains and metrics that are used, and their weights."""

    keep_sources: list[ColumnLabel] = Field(default_factory=list)
    support_domains: list[ColumnLabel] = Field(default_factory=list)
    drop_metrics: list[ColumnLabel] = Field(default_factory=list)
    fixed_weight: Annotated[dict[str, Annotated[Number, Field(ge=0, lt=1)]], StripKeys] = Field(default_factory=dict)
    obj_weights: ByColumn = Field(default_factory=dict)


class FitConfig(Section):
    """A fit configuration; `swarm` and `priors` are required."""

    swarm: SwarmFiles
    priors: Priors
    token_counts: TokensByColumn = Field(default_factory=dict)
    metrics: Annotated[dict[str, Metric], StripKeys] = Field(default_factory=dict)
    eval: Tasks | None = None
    regression: Regression = Field(default_factory=Regression)
    proposer: Proposer = Field(default_factory=Proposer)
    constraints: Constraints = Field(default_factory=Constraints)
    filtering: Filtering = Field(default_factory=Filtering)

    @model_validator(mode="before")
    @classmethod
    def _without_empty_sections(cls, data: Any) -> Any:
        return {name: value for name, value in data.items() if value is not None} if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _families(self) -> "FitConfig":
        if self.regression.aggregate_task_families and self.eval is None:
            raise ValueError("found regression.aggregate_task_families without families; expected them in eval.tasks")
        if self.token_counts and self.priors.token_counts:
            raise ValueError("found token_counts twice; expected them in priors only")
        return self

    @property
    def tokens(self) -> Mapping[str, float]:
        """Tokens available per domain; some released configurations have them at the top level."""
        return self.priors.token_counts or self.token_counts

    @property
    def kl(self) -> float:
        """Weight of the KL term; the paper's where none is given."""
        return PAPER_KL if self.proposer.kl_reg is None else self.proposer.kl_reg

    def remarks(self) -> list[str]:
        """Describe fields that have no effect, or another one than in the published tool.

        Returns:
            One line per field.
        """
        proposer = self.proposer
        lines = []
        if self.priors.total_tokens is not None:
            lines.append("priors.total_tokens is not used: it follows from token_counts")
        if self.token_counts:
            lines.append("token_counts at the top level is read as priors.token_counts")
        if proposer.type != "exact":
            lines.append(f"proposer.type {proposer.type} is not used: the exact solver answers")
        if proposer.temperature is not None:
            lines.append("proposer.temperature is not used: the exact solver does not sample")
        if proposer.fit_only:
            lines.append("proposer.fit_only is not used: the proposal takes about a second")
        if proposer.kl_reg is None:
            lines.append(f"proposer.kl_reg is not given: {PAPER_KL:g} is used")
        constraints = self.constraints
        if not constraints.enabled:
            lines.append("constraints.enabled is false: no domain has a cap on its epochs")
        elif "repetition_factor" not in constraints.model_fields_set:
            lines.append(
                f"constraints.repetition_factor is not given: {constraints.repetition_factor:g} epochs at most"
            )
        return lines


def load_fit_config(path: Path) -> FitConfig:
    """Read a fit configuration of the published tool.

    Args:
        path: A YAML file.

    Returns:
        The configuration.

    Raises:
        ConfigError: If the file cannot be read, or a field is invalid.
    """
    return read_section(FitConfig, path, "a mapping with swarm and priors")
