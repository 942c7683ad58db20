"""Checks before anything expensive runs: find the data, read the beginning of every file, reject what cannot work."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from olmix_core.config.config import Config
from olmix_core.config.domains import Domain
from olmix_core.config.recipe import ProxyRecipe
from olmix_core.config.tokenizer import Bytes, TokenizerFile, TrainedBPE
from olmix_core.data.corpus import LeafStatistics
from olmix_core.data.documents import may_unpack, text_documents, token_documents
from olmix_core.data.domains import DomainSet, Leaf, read_domains
from olmix_core.data.formats import text_bytes
from olmix_core.data.input_file import InputFile
from olmix_core.data.tasks import EvaluationTask, read_tasks
from olmix_core.data.tokenizer import Tokenizer, byte_tokenizer, load_tokenizer
from olmix_core.errors import ConfigError, DataError
from olmix_core.planning.anchor_recipes import check_anchor_data, count_anchors
from olmix_core.planning.bounds import NamedBounds, read_bounds
from olmix_core.storage.content_index import ContentIndex
from olmix_core.storage.filesystem import check_reachable, open_file, reason_of
from olmix_core.storage.listing import AT_ONCE
from olmix_core.storage.store import Store
from olmix_core.surrogate.registry import registered_families

FILES_CHECKED = 16  # of every leaf
DOCUMENTS_CHECKED = 20  # of every such file
BLOCK_BYTES = 256 << 10  # requested at once from a remote file


@dataclass(frozen=True)
class ResolvedInputs:
    """The data, tasks and settings that a configuration refers to, checked.

    Attributes:
        domains: The leaves.
        tasks: The evaluation tasks.
        tokenizer_content: Hash of the content of the tokenizer file; None for a tokenizer that is trained.
        tokenizer_ignores: Settings of the tokenizer file that are switched off.
        vocab_size: Entries of the vocabulary.
        recipe: Recipe of the proxies, with its number of tokens.
        anchors: Recipes of larger proxies, and how many there are of each.
        bounds: Bounds and reference of the mixture, by leaf.
        store: The store.
    """

    domains: DomainSet
    tasks: tuple[EvaluationTask, ...]
    tokenizer_content: str | None
    tokenizer_ignores: tuple[str, ...]
    vocab_size: int
    recipe: ProxyRecipe
    anchors: tuple[tuple[ProxyRecipe, int], ...]
    bounds: NamedBounds
    store: Store

    @property
    def labels(self) -> dict[str, str]:
        """Labels of leaves and tasks, by fingerprint."""
        return self.domains.labels | {task.fingerprint: task.label for task in self.tasks}


def resolve_inputs(config: Config, config_file: str) -> ResolvedInputs:
    """Find and check everything that a configuration refers to; nothing is written to the store.

    Args:
        config: The configuration.
        config_file: Its file, for messages.

    Returns:
        The inputs of a run.

    Raises:
        ConfigError: The configuration refers to something that is not there or cannot be used.
        DataError: A file of the data cannot be read.
        StoreError: The store cannot be reached.
    """
    _check_trainer(config, config_file)
    _check_surrogate(config, config_file)
    store = Store(config.store)  # raises for an unknown kind of store; sends no request
    _check_reachable(config, config_file, store)
    index = ContentIndex()
    try:
        tokenizer, content = _tokenizer(config, config_file, index)
        domains = read_domains(config, config_file, index)
        _check_files(domains.leaves, tokenizer, index)
        tasks = read_tasks(config, config_file, domains, index)
    finally:
        index.close()
    bounds = read_bounds(config, config_file, domains)
    for leaf_label in config.swarm.bounds:
        if leaf_label not in domains.labels.values():
            raise ConfigError(
                config_file,
                f"swarm.bounds.{leaf_label}",
                "a domain that is not there",
                "one of " + ", ".join(sorted(domains.labels.values())),
            )
    _check_samples(config, config_file, domains)
    vocab_size = _vocab_size(config, tokenizer)
    recipe = config.proxy.counted(vocab_size, config.proposal.run_tokens)
    anchors = count_anchors(config, config_file, vocab_size, recipe)
    files = [file for leaf in domains.leaves for file in leaf.files]
    if all(text_bytes(file.url, 1) == 1 for file in files):
        # A token is at least a byte, so that the size of uncompressed files bounds their tokens.
        try:
            _check_length(config, config_file, recipe, sum(leaf.size for leaf in domains.leaves), "bytes of data")
        except ConfigError:
            if not any(may_unpack(file) for file in files):
                raise
    ignores = () if tokenizer is None else tokenizer.ignored
    return ResolvedInputs(domains, tasks, content, ignores, vocab_size, recipe, anchors, bounds, store)


def check_statistics(
    config: Config, config_file: str, inputs: ResolvedInputs, statistics: Mapping[str, LeafStatistics]
) -> None:
    """Check what is only known once the text is tokenised.

    Args:
        config: The configuration.
        config_file: Its file, for messages.
        inputs: The inputs of the run.
        statistics: {leaf: its statistics}.

    Raises:
        ConfigError: The proxies would repeat the data too often, or a sample has more tokens than it stands for.
        DataError: A leaf is smaller than a sequence, or too small to hold anything out of it.
    """
    available = sum(leaf.available for leaf in statistics.values())
    _check_length(config, config_file, inputs.recipe, available, "tokens to train on")
    labels = inputs.domains.labels
    check_anchor_data(config, config_file, inputs.anchors, statistics, labels)
    length = inputs.recipe.sequence_length
    for domain in inputs.domains.leaves:
        counted = statistics[domain.fingerprint].available
        if domain.represented(counted) < counted:
            raise ConfigError(
                config_file,
                f"domains: {domain.label}: tokens",
                f"{domain.represented(counted):,}, fewer than the {counted:,} tokens to train on in its files",
                "the tokens that these files are a sample of",
            )
    for fingerprint, leaf in statistics.items():
        used = round(inputs.recipe.share * leaf.available)
        if used <= length:
            share = "" if inputs.recipe.share == 1.0 else f" ({inputs.recipe.share:.2g} of {leaf.available:,})"
            raise DataError(
                f"domain {labels[fingerprint]!r}: found {used} tokens to train on{share}; expected more than one"
                f" sequence of {length}: add text, or remove or merge the domain"
            )
    for task in inputs.tasks:
        if task.leaves and not sum(statistics[leaf].heldout_bytes for leaf in task.leaves):
            raise DataError(
                f"task {task.label!r}: the domain is too small to hold a part of it out; expected at least a few"
                " documents, each small beside the whole"
            )


def _check_trainer(config: Config, config_file: str) -> None:
    """Check that an external trainer has a command, and that all tasks are metrics of it."""
    external, command = config.proxy.trainer is not None, config.execution.command
    if external != (command is not None):
        state = "a trainer without a command" if external else "a command without a trainer"
        raise ConfigError(
            config_file,
            "execution.command",
            state,
            "execution.command and proxy.trainer together: how it is run, and what it is",
        )
    if command is not None and not ("{config}" in command and "{metrics}" in command):
        raise ConfigError(config_file, "execution.command", repr(command), "{config} and {metrics} in it")
    for position, task in enumerate(config.evaluation.tasks):
        if external != (task.metric is not None):
            trainer = f"by {config.proxy.trainer}" if external else "without proxy.trainer"
            raise ConfigError(
                config_file,
                f"evaluation.tasks[{position}]",
                f"task {task.label!r}, {trainer}",
                "metrics, and only metrics, of a trainer of your own",
            )


def _check_surrogate(config: Config, config_file: str) -> None:
    """Check that the family of the surrogate is registered, and that it is a law where a swarm has rounds."""
    families, name, rounds = registered_families(), config.surrogate.family, config.swarm.rounds
    if name not in {family.name for family in families}:
        expected = "one of " + ", ".join(family.name for family in families)
        raise ConfigError(config_file, "surrogate.family", repr(name), expected)
    laws = [family.name for family in families if family.has_law]
    needs = {"swarm.rounds": rounds if rounds > 1 else None, "proposal.target": config.proposal.target}
    for field, value in needs.items():
        if value is not None and name not in laws:
            expected = f"one of the laws ({', '.join(laws)}), whose parameters have an error"
            raise ConfigError(config_file, field, f"{value} with surrogate.family {name!r}", expected)


def _check_reachable(config: Config, config_file: str, store: Store) -> None:
    """Check that the store and the servers of all data answer. Raises ConfigError, StoreError."""

    def paths(nodes: Sequence[Domain]) -> Iterator[str]:
        for node in nodes:
            yield from node.paths or ()
            yield from paths(node.children)

    tasks = config.evaluation.tasks
    inputs = [*paths(config.domains), *(url for task in tasks for url in (task.file, *(task.text or ())) if url)]
    store.check_reachable()
    try:
        check_reachable([*inputs, *([config.tokenizer.path] if isinstance(config.tokenizer, TokenizerFile) else [])])
    except OSError as error:
        raise ConfigError(config_file, "domains", reason_of(error), "data that can be reached") from error


def _check_samples(config: Config, config_file: str, domains: DomainSet) -> None:
    """Check that no sample is cut to the repetition of the target run, which depends on the whole."""
    samples = sorted(leaf.label for leaf in domains.leaves if leaf.sample is not None)
    if samples and config.proxy.leaf_share == "match":
        raise ConfigError(
            config_file,
            "proxy.leaf_share",
            f"'match' beside {', '.join(samples)}, whose files stand for more tokens than they hold",
            "a number: a proxy cannot repeat a sample as often as the target run repeats the whole",
        )


def _check_length(config: Config, config_file: str, recipe: ProxyRecipe, available: int, unit: str) -> None:
    limit = int(available * config.proposal.repetition)
    assert recipe.tokens is not None
    if recipe.tokens > limit:
        multiple = config.proxy.chinchilla
        tokens = f"{recipe.tokens:,}"
        if multiple is not None:
            tokens = f"{multiple:g} times Chinchilla, {tokens} tokens"
        raise ConfigError(
            config_file,
            "proxy.tokens" if multiple is None else "proxy.chinchilla",
            f"{tokens}, but only {available:,} {unit}",
            f"at most {limit:,} tokens, which repeats all of the data {config.proposal.repetition:g} times",
        )


def _vocab_size(config: Config, tokenizer: Tokenizer | None) -> int:
    if tokenizer is not None:
        return tokenizer.vocab_size
    if isinstance(config.tokenizer, Bytes):
        return byte_tokenizer().vocab_size
    assert isinstance(config.tokenizer, TrainedBPE)
    return config.tokenizer.vocab_size


def _tokenizer(config: Config, config_file: str, index: ContentIndex) -> tuple[Tokenizer | None, str | None]:
    settings = config.tokenizer
    if not isinstance(settings, TokenizerFile):
        return None, None
    try:
        content, _ = index.hash(settings.path)
        with open_file(settings.path) as file:
            definition = file.read().decode("utf-8", "replace")
    except OSError as error:
        raise ConfigError(
            config_file,
            "tokenizer.path",
            f"{settings.path}: {reason_of(error)}",
            "a tokenizer.json that can be read",
        ) from error
    return load_tokenizer(definition, settings.path, settings.eos), content


def _check_files(leaves: Sequence[Leaf], tokenizer: Tokenizer | None, index: ContentIndex) -> None:
    """Read the beginning of every file that was not read before. Raises the first DataError by leaf and file."""
    new: dict[tuple[str, str], InputFile] = {}
    for file in (file for leaf in leaves for file in leaf.files[:FILES_CHECKED]):
        question = f"opens as {file.reader}"
        if file.is_tokens:
            assert tokenizer is not None
            question += f" of a type that fits, with eos {tokenizer.eos} of {tokenizer.vocab_size}"
        if index.recall(file.content, question) is None:
            new[file.content, question] = file

    def read(file: InputFile) -> None:
        documents: Iterator[object]
        if file.is_tokens:
            assert tokenizer is not None
            documents = token_documents(file, eos=tokenizer.eos, vocab_size=tokenizer.vocab_size)
        else:
            documents = text_documents(file, block=BLOCK_BYTES)
        for _ in islice(documents, DOCUMENTS_CHECKED):
            pass

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(read, new.values()):
            pass
    index.learn((content, question, "yes") for content, question in new)
