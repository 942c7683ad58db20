"""Look before anything expensive runs: find the data, open a little of everything, and refuse what cannot work."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from olmix_core.config.config import Config
from olmix_core.config.domains import Domain
from olmix_core.config.recipe import ProxyRecipe
from olmix_core.config.tokenizer import Bytes, TokenizerFile, TrainedBPE
from olmix_core.data.corpus import LeafStatistics
from olmix_core.data.documents import text_documents, token_documents
from olmix_core.data.domains import DomainSet, Leaf, read_domains
from olmix_core.data.formats import text_bytes
from olmix_core.data.input_file import InputFile
from olmix_core.data.tasks import EvaluationTask, read_tasks
from olmix_core.data.tokenizer import Tokenizer, byte_tokenizer, load_tokenizer
from olmix_core.errors import ConfigError, DataError
from olmix_core.planning.bounds import NamedBounds, read_wanted
from olmix_core.storage.content_index import ContentIndex
from olmix_core.storage.filesystem import check_reachable, open_file, reason_of
from olmix_core.storage.listing import AT_ONCE
from olmix_core.storage.store import Store

# Of every leaf, this many files are opened and this many documents of each are read.
FILES_SEEN = 16
DOCUMENTS_SEEN = 20
BEGINNING = 256 << 10  # bytes asked for at once, of a remote file


@dataclass(frozen=True)
class ResolvedInputs:
    """What a configuration refers to, found and looked at.

    `recipe` is that of the proxies with its tokens counted; `tokenizer_content` is set for a tokenizer file.
    """

    domains: DomainSet
    tasks: tuple[EvaluationTask, ...]
    tokenizer_content: str | None
    vocab_size: int
    recipe: ProxyRecipe
    wanted: NamedBounds


def resolve_inputs(config: Config, config_file: str) -> ResolvedInputs:
    """Find everything that the configuration refers to; writes nothing to the store.

    Raises:
        ConfigError, DataError, StoreError: in one message what is wrong and what to do.
    """
    _check_trainer(config, config_file)
    Store(config.store)  # raises where there is no such kind of store; touches nothing
    _knock(config, config_file)
    index = ContentIndex()
    try:
        tokenizer, content = _tokenizer(config, config_file, index)
        domains = read_domains(config, config_file, index)
        _look_into(domains.leaves, tokenizer, index)
        tasks = read_tasks(config, config_file, domains, index)
    finally:
        index.close()
    wanted = read_wanted(config, config_file, domains)
    for leaf_label in config.swarm.bounds:
        if leaf_label not in domains.labels.values():
            raise ConfigError(
                config_file,
                f"swarm.bounds.{leaf_label}",
                "a domain that is not there",
                "one of " + ", ".join(sorted(domains.labels.values())),
            )
    vocab_size = _vocab_size(config, tokenizer)
    recipe = config.proxy.counted(vocab_size, config.proposal.target_tokens)
    if all(text_bytes(file.url, 1) == 1 for leaf in domains.leaves for file in leaf.files):
        # A token is at least a byte, so that the size of uncompressed files bounds their tokens.
        _check_length(config, config_file, recipe, sum(leaf.size for leaf in domains.leaves), "bytes of data")
    return ResolvedInputs(domains, tasks, content, vocab_size, recipe, wanted)


def check_statistics(
    config: Config, config_file: str, inputs: ResolvedInputs, statistics: Mapping[str, LeafStatistics]
) -> None:
    """What can only be known once the text is tokenised. Raises ConfigError, DataError."""
    available = sum(leaf.available for leaf in statistics.values())
    _check_length(config, config_file, inputs.recipe, available, "tokens to train on")
    labels = inputs.domains.labels
    length = inputs.recipe.sequence_length
    for fingerprint, leaf in statistics.items():
        seen = round(inputs.recipe.share * leaf.available)
        if seen <= length:
            share = "" if inputs.recipe.share == 1.0 else f" ({inputs.recipe.share:.2g} of {leaf.available:,})"
            raise DataError(
                f"domain {labels[fingerprint]!r}: found {seen} tokens to train on{share}; expected more than one"
                f" sequence of {length}: add text, or remove or merge the domain"
            )
    for task in inputs.tasks:
        if task.leaves and not sum(statistics[leaf].heldout_bytes for leaf in task.leaves):
            raise DataError(
                f"task {task.label!r}: the domain is too small to hold a part of it out; expected at least a few"
                " documents, each small beside the whole"
            )


def _check_trainer(config: Config, config_file: str) -> None:
    """A trainer of your own trains and measures: it needs a command, and tasks that are its metrics."""
    own, command = config.proxy.trainer is not None, config.execution.command
    if own != (command is not None):
        found = "a trainer without a command" if own else "a command without a trainer"
        raise ConfigError(
            config_file,
            "execution.command",
            found,
            "execution.command and proxy.trainer together: how it is run, and what it is",
        )
    if command is not None and not ("{config}" in command and "{metrics}" in command):
        raise ConfigError(config_file, "execution.command", repr(command), "{config} and {metrics} in it")
    for position, task in enumerate(config.evaluation.tasks):
        if own != (task.metric is not None):
            who = f"by {config.proxy.trainer}" if own else "without proxy.trainer"
            raise ConfigError(
                config_file,
                f"evaluation.tasks[{position}]",
                f"task {task.label!r}, {who}",
                "metrics, and only metrics, of a trainer of your own",
            )


def _knock(config: Config, config_file: str) -> None:
    """Whether everybody answers who will be asked. Raises ConfigError, StoreError."""

    def paths(nodes: Sequence[Domain]) -> Iterator[str]:
        for node in nodes:
            yield from node.paths or ()
            yield from paths(node.children)

    tasks = config.evaluation.tasks
    inputs = [*paths(config.domains), *(url for task in tasks for url in (task.file, *(task.text or ())) if url)]
    Store(config.store).knock()
    try:
        check_reachable([*inputs, *([config.tokenizer.path] if isinstance(config.tokenizer, TokenizerFile) else [])])
    except OSError as error:
        raise ConfigError(config_file, "domains", reason_of(error), "data that can be reached") from error


def _check_length(config: Config, config_file: str, recipe: ProxyRecipe, available: int, unit: str) -> None:
    most = int(available * config.proposal.repetition)
    assert recipe.tokens is not None
    if recipe.tokens > most:
        multiple = config.proxy.chinchilla
        found = f"{recipe.tokens:,}" if multiple is None else f"{multiple:g} times Chinchilla, {recipe.tokens:,} tokens"
        raise ConfigError(
            config_file,
            "proxy.tokens" if multiple is None else "proxy.chinchilla",
            f"{found}, but only {available:,} {unit}",
            f"at most {most:,} tokens, which repeats all of the data {config.proposal.repetition:g} times",
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


def _look_into(leaves: Sequence[Leaf], tokenizer: Tokenizer | None, index: ContentIndex) -> None:
    """Read the beginning of what was not looked into before. Raises DataError, the first by leaf and file."""
    new: dict[tuple[str, str], InputFile] = {}
    for file in (file for leaf in leaves for file in leaf.files[:FILES_SEEN]):
        question = f"opens as {file.reader}"
        if file.is_tokens:
            assert tokenizer is not None
            question += f" with eos {tokenizer.eos} of {tokenizer.vocab_size}"
        if index.recall(file.content, question) is None:
            new[file.content, question] = file

    def read(file: InputFile) -> None:
        documents: Any
        if file.is_tokens:
            assert tokenizer is not None
            documents = token_documents(file, eos=tokenizer.eos, vocab_size=tokenizer.vocab_size)
        else:
            documents = text_documents(file, block=BEGINNING)
        for _ in islice(documents, DOCUMENTS_SEEN):
            pass

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(read, new.values()):
            pass
    index.learn((content, question, "yes") for content, question in new)
