"""The configuration: one YAML file that says what to mix, how to learn, and what to ask for.

Required are `name`, `domains` and `evaluation.tasks`; everything else has a default, the paper's where the paper has
one. Paths are relative to the folder of the file. Whatever is wrong is found before anything runs, and told in one
message that names the file, the field, what was found and what was expected.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from olmix_core.config.base import Label, Section
from olmix_core.config.errors import first_problem
from olmix_core.config.evaluation import Evaluation, Task, TaskList
from olmix_core.config.execution import Execution
from olmix_core.config.recipe import ProxyRecipe
from olmix_core.config.yaml import UniqueKeys, read_mapping
from olmix_core.errors import ConfigError
from olmix_core.storage.credentials import HOW, field_with_credentials
from olmix_core.storage.filesystem import check_reachable, open_file, reason_of


class Domain(Section):
    """A node of the domain tree: a source, a topic of a source, or a quality bucket of a topic or source."""

    name: Label = Field(description="Label of this node; a leaf is called source:topic:quality.")
    paths: list[str] | None = Field(
        None,
        description="Files or globs (** allowed) that hold this leaf, local or on any fsspec URL.",
    )
    topics: list["Domain"] | None = Field(None, description="The topics that this source is split into.")
    quality: list["Domain"] | None = Field(None, description="The quality buckets that this node is split into.")
    weight: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="Pinned share of this node among its siblings; all siblings have one, adding up to 1, or none.",
    )
    partition_of: str | None = Field(
        None,
        description="A leaf of the last mix that this node and others replace, when its text is in new files.",
    )
    text_field: str = Field("text", description="Field (JSON lines) or column (parquet) that holds the text.")
    dtype: Literal["uint16", "uint32"] | None = Field(
        None,
        description="Type of raw token files; by default the smallest that fits the tokenizer's vocabulary.",
    )

    @field_validator("paths", mode="before")
    @classmethod
    def _one_path_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_kind(self) -> "Domain":
        given = [kind for kind in ("paths", "topics", "quality") if getattr(self, kind) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"found {found}; expected exactly one of paths, topics, quality")
        if self.paths is not None and (not self.paths or not all(path.strip() for path in self.paths)):
            raise ValueError("found an empty path; expected at least one file or glob")
        children = self.children
        if self.paths is None and not children:
            raise ValueError(f"found an empty list of {given[0]}; expected at least one")
        _check_siblings(children)
        for child in children:
            if child.weight is not None and not child.is_frozen:
                raise ValueError(
                    f"found a weight for {child.name!r}, whose parts have none; expected weights for its parts too,"
                    " since a pinned share fixes all that is below it"
                )
        return self

    @property
    def children(self) -> list["Domain"]:
        return self.topics or self.quality or []

    @property
    def is_frozen(self) -> bool:
        """Whether the shares of the leaves below this node are all fixed."""
        pinned = len(self.children) < 2 or self.children[0].weight is not None
        return pinned and all(child.is_frozen for child in self.children)


def _check_siblings(nodes: list[Domain]) -> None:
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


class TrainedBPE(Section):
    """A byte-level BPE trained once on the domains, then frozen for every later version of the mix."""

    kind: Literal["bpe"] = "bpe"
    vocab_size: Annotated[int, Field(ge=512, le=65536)] = Field(2048, description="Entries of the vocabulary.")


class TokenizerFile(Section):
    """A tokenizer of your own, in Hugging Face's format."""

    kind: Literal["file"]
    path: str = Field(description="A tokenizer.json, local or on any fsspec URL.")
    eos: str | None = Field(
        None,
        description="Token that ends a document; found by its usual names where it is left out.",
    )


class Bytes(Section):
    """Every byte is a token, and 256 ends a document."""

    kind: Literal["bytes"]


def check_ranges(bounds: Mapping[str, tuple[float, float]]) -> None:
    """Raise ValueError where a range of weights cannot be meant."""
    for name, (low, high) in bounds.items():
        if not 0 <= low <= high <= 1:
            raise ValueError(f"found bounds [{low}, {high}] for {name!r}; expected 0 <= low <= high <= 1")


class Swarm(Section):
    """Which mixtures the proxies train on (paper, section 3)."""

    runs: Annotated[int, Field(ge=2)] | None = Field(
        None, description="Proxies K; 3 (d + 1) for d free dimensions where it is left out."
    )
    rounds: Annotated[int, Field(ge=1)] = Field(
        1,
        description="Parts in which the proxies are trained. 1: all are drawn at once. More: each further part is"
        " chosen by what it would tell of the best mixture.",
    )
    tolerance: NonNegativeFloat = Field(
        0.0, description="With rounds: stop when less than this is still to be gained, in BPB."
    )
    seed: NonNegativeInt = Field(0, description="Seed of the mixtures; mixture i depends on (seed, i) alone.")
    sparsity: Literal["sparse", "dense"] = Field(
        "sparse",
        description="sparse: small weights become exactly 0. dense: no weight is below the minimum.",
    )
    minimum_weight: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.002, description="Where a weight is small, for `sparsity`."
    )
    min_strength: PositiveFloat = Field(0.1, description="Smallest Dirichlet strength (most extreme mixtures).")
    max_strength: PositiveFloat = Field(5.0, description="Largest Dirichlet strength (mixtures nearest to natural).")
    bounds: dict[str, tuple[float, float]] = Field({}, description="Lowest and highest weight in any mixture, by leaf.")

    @model_validator(mode="after")
    def _ranges_are_ordered(self) -> "Swarm":
        if self.min_strength > self.max_strength:
            raise ValueError(
                f"found min_strength {self.min_strength} above max_strength {self.max_strength};"
                " expected the smaller one first"
            )
        check_ranges(self.bounds)
        return self


class SurrogateSettings(Section):
    """The law that predicts BPB from a mixture (paper, section 3)."""

    family: Literal[
        "log_linear",
        "diminishing_returns",
        "search",
        "lightgbm",
        "gaussian_process",
        "bimix",
        "autoscale",
        "auto",
    ] = Field(
        "auto",
        description="log_linear: c + exp(A q), the paper's. diminishing_returns: c + exp(b - a q^gamma), a >= 0."
        " auto: the one of these two with the smaller error on runs left out of the fit. The others are there to"
        " compare with.",
    )
    huber_delta: PositiveFloat = Field(0.02, description="BPB from which an error counts linearly.")
    ridge: NonNegativeFloat | Literal["auto"] = Field(
        "auto", description="Penalty on the coefficients; auto chooses it per task from the data."
    )


class ProposalSettings(Section):
    """What is asked of the proposed mixture (paper, section 3)."""

    kl: NonNegativeFloat = Field(0.05, description="Strength lambda of the pull towards the natural mixture.")
    target_tokens: PositiveFloat | None = Field(
        None,
        description="Tokens R of the run the mixture is for; as many as there are where it is left out.",
    )
    repetition: PositiveFloat = Field(4.0, description="Most epochs k over any leaf in that run.")
    reference: Literal["natural", "previous"] | dict[str, NonNegativeFloat] = Field(
        "natural",
        description="What the mixture is pulled towards: natural; previous, the mix that this one builds on; or a"
        " weight for every leaf.",
    )
    pessimism: NonNegativeFloat = Field(
        0.0, description="Standard deviations of the predicted mean BPB that count as if they were BPB."
    )
    groups: dict[Label, list[str]] = Field(
        {}, description="Names for sets of domains (leaves, or nodes above leaves), to bound their summed weight."
    )
    bounds: dict[str, tuple[float, float]] = Field(
        {}, description="Lowest and highest weight in the mixture, by leaf, by node above leaves, or by group."
    )
    sequence_length: PositiveInt = Field(
        4096, description="Tokens in a training sequence of that run: published are whole sequences of each leaf."
    )

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> "ProposalSettings":
        check_ranges(self.bounds)
        if isinstance(self.reference, dict) and not sum(self.reference.values()) > 0:
            raise ValueError("found a reference without any weight > 0; expected a weight for every leaf")
        for group, members in self.groups.items():
            if not members:
                raise ValueError(f"found the group {group!r} without members; expected at least one domain")
        return self


class Reuse(Section):
    """What to keep of the mix that was published last under this name (paper, section 5)."""

    strategy: Literal["auto", "full_reuse", "partial_reuse", "full_recompute"] = Field(
        "auto",
        description="full_recompute: every domain is free again. full_reuse: unaffected domains keep their ratios."
        " partial_reuse: but for those in release. auto: but for those whose release is worth its runs.",
    )
    release: list[str] = Field([], description="Unaffected leaves to recompute all the same, for partial_reuse.")

    @model_validator(mode="after")
    def _release_needs_partial_reuse(self) -> "Reuse":
        if bool(self.release) != (self.strategy == "partial_reuse"):
            found = f"strategy {self.strategy} with {len(self.release)} leaves to release"
            raise ValueError(f"found {found}; expected leaves to release with partial_reuse, and only with it")
        return self


class Config(Section):
    """A whole configuration file."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)] = Field(
        description="Name of the mix: lower case, digits, dashes. Runs of one name form a lineage."
    )
    store: Annotated[str, Field(min_length=1)] = Field(
        ".olmix", description="Folder or URL that holds everything a run leaves behind."
    )
    domains: list[Domain] = Field(min_length=1, description="The tree of domains.")
    tokenizer: Annotated[TrainedBPE | TokenizerFile | Bytes, Field(discriminator="kind")] = Field(
        TrainedBPE(), description="How text becomes tokens."
    )
    proxy: ProxyRecipe = Field(ProxyRecipe(), description="The recipe of the proxies.")
    execution: Execution = Field(Execution(), description="Where and how long proxies may run.")
    evaluation: Evaluation = Field(description="What the mixture is to be good at.")
    swarm: Swarm = Field(Swarm(), description="Which mixtures the proxies train on.")
    surrogate: SurrogateSettings = Field(SurrogateSettings(), description="The law fitted to the evidence.")
    proposal: ProposalSettings = Field(ProposalSettings(), description="What is asked of the mixture.")
    reuse: Reuse = Field(Reuse(), description="What to keep of the last mix of this name.")

    @field_validator("tokenizer", mode="before")
    @classmethod
    def _tokenizer_by_kind(cls, value: Any) -> Any:
        if isinstance(value, dict) and "kind" not in value:
            return {"kind": "file" if "path" in value else "bpe", **value}
        return value

    @model_validator(mode="after")
    def _a_share_to_match_has_a_target(self) -> "Config":
        if self.proxy.leaf_share == "match" and self.proposal.target_tokens is None:
            raise ValueError("found proxy.leaf_share: match without a target; expected proposal.target_tokens with it")
        return self

    @model_validator(mode="after")
    def _sources_are_free(self) -> "Config":
        _check_siblings(self.domains)
        for domain in self.domains:
            if domain.weight is not None:
                raise ValueError(
                    f"found a weight for the source {domain.name!r}; expected weights only on topics and quality"
                    " buckets, since the weights of sources are what is looked for"
                )
        return self

    @model_validator(mode="after")
    def _rounds_have_a_law(self) -> "Config":
        if self.swarm.rounds > 1 and self.surrogate.family not in ("log_linear", "diminishing_returns", "auto"):
            raise ValueError(
                f"found swarm.rounds {self.swarm.rounds} with surrogate.family {self.surrogate.family!r}; expected one"
                " of the laws (log_linear, diminishing_returns, auto), whose error says which proxies tell most"
            )
        return self


def load_config(path: str | Path, changes: Mapping[str, Any] | None = None) -> Config:
    """Read a configuration file; its relative paths are resolved against its folder.

    `changes`, {field: value} or {section: {field: value}}, come in the place of what the file says.

    Raises:
        ConfigError: the file cannot be read, is not YAML, or says something that cannot be done.
    """
    path = Path(path)
    data = read_mapping(path, "a mapping with name, domains and evaluation")
    if (secret := field_with_credentials(data)) is not None:
        raise ConfigError(str(path), secret, "credentials", HOW)
    for name, value in (changes or {}).items():
        if not isinstance(value, Mapping):
            data[name] = value
        elif isinstance(data.setdefault(name, {}), dict):  # whatever else it is, is told below
            data[name] = {**data[name], **value}
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise first_problem(Config, path, error) from error
    return _with_lists(_resolved(config, path.resolve().parent), path)


def with_runner(config: Config, runner: str, path: str) -> Config:
    """The same with another `execution.runner`; what is set for one runner only is left out for the others.

    Raises ConfigError.
    """
    kept = config.execution.model_dump(exclude_unset=True, exclude={"runner"})
    if runner != config.execution.runner:
        kept.pop("address", None)
        kept.pop("job_variables", None)
    try:
        execution = Execution.model_validate({**kept, "runner": runner})
    except ValidationError as error:
        problem = first_problem(Execution, Path(path), error)
        raise ConfigError(path, "execution", problem.found, problem.expected) from error
    return config.model_copy(update={"execution": execution})


def _resolved(config: Config, folder: Path) -> Config:
    def place(path: str) -> str:
        # Only ~/ is the user's home: a name may start with the sign.
        return path if "://" in path else str(folder / (Path(path).expanduser() if path.startswith("~/") else path))

    def domain(node: Domain) -> Domain:
        return node.model_copy(
            update={
                "paths": [place(path) for path in node.paths] if node.paths else None,
                "topics": [domain(child) for child in node.topics] if node.topics else None,
                "quality": [domain(child) for child in node.quality] if node.quality else None,
            }
        )

    tasks = [task.placed(place) for task in config.evaluation.tasks]
    tokenizer = config.tokenizer
    if isinstance(tokenizer, TokenizerFile):
        tokenizer = tokenizer.model_copy(update={"path": place(tokenizer.path)})
    return config.model_copy(
        update={
            "store": place(config.store),
            "domains": [domain(node) for node in config.domains],
            "evaluation": config.evaluation.model_copy(update={"tasks": tasks}),
            "tokenizer": tokenizer,
        }
    )


def _with_lists(config: Config, path: Path) -> Config:
    """The same with the tasks of every list of tasks in its place."""
    tasks: list[Task] = []
    for position, task in enumerate(config.evaluation.tasks):
        tasks += read_task_list(task, path, f"evaluation.tasks[{position}].list") if task.list else [task]
    try:
        evaluation = Evaluation.model_validate(
            {**config.evaluation.model_dump(), "tasks": [task.model_dump() for task in tasks]}
        )
    except ValidationError as error:  # two tasks of one name
        problem = first_problem(Evaluation, path, error)
        raise ConfigError(str(path), "evaluation.tasks", problem.found, problem.expected) from error
    return config.model_copy(update={"evaluation": evaluation})


def read_task_list(entry: Task, config_file: Path, field: str) -> list[Task]:
    """The tasks of the file `entry.list`; what `entry` says of sample and weight holds where they say nothing.

    Raises:
        ConfigError: the file cannot be read, or is no list of tasks.
    """
    assert entry.list is not None
    try:
        check_reachable([entry.list])
        with open_file(entry.list) as file:
            data = yaml.load(file.read().decode(), Loader=UniqueKeys)
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error).lower()
        raise ConfigError(str(config_file), field, f"{entry.list}: {reason}", "a YAML file of tasks") from error
    if (secret := field_with_credentials(data)) is not None:
        raise ConfigError(entry.list, secret, "credentials", HOW)
    try:
        tasks = TaskList.model_validate({"tasks": data}).tasks
    except ValidationError as error:
        raise first_problem(TaskList, Path(entry.list), error) from error
    folder = entry.list.rpartition("/")[0] or "."
    given = entry.model_dump(include={"sample", "sample_seed", "weight"} & entry.model_fields_set)
    return [
        task.model_copy(
            update={name: value for name, value in given.items() if name not in task.model_fields_set}
        ).placed(lambda path: path if "://" in path or path.startswith("/") else f"{folder}/{path}")
        for task in tasks
    ]
