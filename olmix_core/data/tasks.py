"""Evaluation tasks: what a mixture should be good at, identified by content.

A task is a file of documents (or a fixed sample of them), plain text, the held-out text of one or more leaves, or a
metric of an external trainer. Its name and its family are labels and no part of its identity.

A line of a file is a document in one of these forms:

    {"context": ..., "continuation": ...}                                     own form
    {"query": ..., "choices": [...], "gold": 1}                               multiple choice
    {"doc_id": ..., "arguments": [[context, continuation], ...], "target"}    logs of lm-evaluation-harness
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from olmix_core.config.config import Config
from olmix_core.config.evaluation import Task
from olmix_core.data.compression import DAMAGE, decompressed
from olmix_core.data.documents import text_documents
from olmix_core.data.domains import DomainSet
from olmix_core.data.encoding import HALF_A_CHARACTER, is_utf8
from olmix_core.data.formats import suffix_of, suffixes, suffixes_in_words
from olmix_core.data.gold import NoGoldError, gold_option
from olmix_core.data.input_file import InputFile
from olmix_core.data.selection import select
from olmix_core.errors import ConfigError, DataError
from olmix_core.identity import digest, seed_of
from olmix_core.serialization import JsonRecord
from olmix_core.storage.content_index import ContentIndex
from olmix_core.storage.filesystem import open_file, reason_of
from olmix_core.storage.listing import expand


@dataclass(frozen=True)
class TaskSource(JsonRecord):
    """Where the documents of a task are; all empty for a task on held-out text.

    Attributes:
        file: JSONL file.
        sample: (number, seed) of the sample of its documents; None for all.
        texts: Files of plain text.
        metric: Metric of an external trainer.
    """

    file: str | None = None
    sample: tuple[int, int] | None = None
    texts: tuple[InputFile, ...] = ()
    metric: str | None = None

    @property
    def has_documents(self) -> bool:
        """Whether it has documents of its own."""
        return self.file is not None or bool(self.texts)


@dataclass(frozen=True)
class EvaluationTask:
    """An evaluation task.

    Attributes:
        label: Name of the task.
        fingerprint: Its identity, over its content.
        weight: Weight in the mean over tasks, that of its family included.
        source: Where its documents are.
        leaves: Fingerprints of the leaves whose held-out text is scored.
        family: Name of its family.
    """

    label: str
    fingerprint: str
    weight: float
    source: TaskSource = TaskSource()
    leaves: tuple[str, ...] = ()
    family: str | None = None


@dataclass(frozen=True)
class Item:
    """One document of a JSONL task.

    Attributes:
        context: Text that is given.
        continuation: Text that is scored.
    """

    context: str
    continuation: str


def read_tasks(config: Config, config_file: str, domains: DomainSet, index: ContentIndex) -> tuple[EvaluationTask, ...]:
    """Find the tasks of a configuration and check them to the last line.

    Args:
        config: The configuration.
        config_file: Its file, for messages.
        domains: The leaves, for tasks on held-out text.
        index: Where hashes of content are remembered.

    Returns:
        The tasks, ordered by fingerprint.

    Raises:
        ConfigError: A file cannot be read, a held-out domain does not exist, or two tasks are the same.
        DataError: A line of a file is no document.
    """
    tasks: dict[str, EvaluationTask] = {}
    weights = config.evaluation.weights
    for position, entry in enumerate(config.evaluation.tasks):
        field = f"evaluation.tasks[{position}]"
        task = _read_task(entry, config_file, field, domains, index)
        if task.fingerprint in tasks:
            other = tasks[task.fingerprint].label
            raise ConfigError(
                config_file, field, f"the content of task {other!r} again", "every task to be another one"
            )
        tasks[task.fingerprint] = replace(task, weight=weights[entry.label])
    return tuple(tasks[fingerprint] for fingerprint in sorted(tasks))


def _read_task(entry: Task, config_file: str, field: str, domains: DomainSet, index: ContentIndex) -> EvaluationTask:
    leaves: tuple[str, ...] = ()
    if entry.heldout is not None:
        leaves = tuple(leaf.fingerprint for leaf in domains.under(entry.heldout))
        if not leaves:
            raise ConfigError(
                config_file,
                f"{field}.heldout",
                repr(entry.heldout),
                "the name of a domain: " + ", ".join(sorted(domains.labels.values())),
            )
        source, fingerprint = TaskSource(), digest({"heldout": leaves})
    elif entry.metric is not None:
        source, fingerprint = TaskSource(metric=entry.metric), digest({"metric": entry.metric})
    elif entry.text is not None:
        source, fingerprint = _read_texts(entry.text, config_file, f"{field}.text", index)
    else:
        source, fingerprint = _read_file(entry, config_file, f"{field}.file", index)
    return EvaluationTask(entry.label, fingerprint, entry.weight, source, leaves, entry.family)


def _read_file(entry: Task, config_file: str, field: str, index: ContentIndex) -> tuple[TaskSource, str]:
    """The source and fingerprint of a task on a JSONL file; each content is read at most once; the result is cached."""
    assert entry.file is not None
    try:
        content, _ = index.hash(entry.file)
    except OSError as error:
        reason = f"{entry.file}: {reason_of(error)}"
        raise ConfigError(config_file, field, reason, "a file that can be read") from error
    remembered = index.recall(content, "documents")
    documents = int(remembered) if remembered is not None else sum(1 for _ in read_items(entry.file))
    index.learn([(content, "documents", str(documents))])
    if entry.sample is None or entry.sample >= documents:
        return TaskSource(file=entry.file), digest({"file": content})
    sample = (entry.sample, entry.sample_seed)
    return TaskSource(file=entry.file, sample=sample), digest({"file": content, "sample": sample})


def _read_texts(patterns: Sequence[str], config_file: str, field: str, index: ContentIndex) -> tuple[TaskSource, str]:
    """The source and fingerprint of a task on plain text."""
    texts, contents = [], []
    try:
        selection = select(file for pattern in patterns for file in expand(pattern))
        selection.check(config_file, field, "name the texts by a narrower path")
        for file in selection.files:
            suffix = suffix_of(file.url)
            if suffix not in suffixes("text"):
                raise ConfigError(config_file, field, file.url, f"text: {suffixes_in_words('text')}")
            content, size = index.hash(file)
            reader = f"{suffix} text"
            texts.append(InputFile(file.url, reader, content=content, size=size))
            contents.append([content, size, reader])
    except OSError as error:
        reason = f"{', '.join(patterns)}: {reason_of(error)}"
        raise ConfigError(config_file, field, reason, "files that can be read") from error
    if not texts:
        raise ConfigError(config_file, field, f"no file at {', '.join(patterns)}", "at least one")
    for text in texts:
        question = f"opens as {text.reader}"
        if index.recall(text.content, question) is None:
            next(text_documents(text), None)
            index.learn([(text.content, question, "yes")])
    return TaskSource(texts=tuple(texts)), digest({"text": sorted(contents)})


def sampled(items: list[Item], sample: tuple[int, int] | None) -> list[Item]:
    """Choose a sample of documents; a larger sample contains a smaller one of the same seed.

    Args:
        items: All documents.
        sample: (number, seed); None for all.

    Returns:
        The chosen documents, in their order.
    """
    if sample is None:
        return items
    count, seed = sample
    return [items[i] for i in sorted(seed_of("sample", seed).permutation(len(items))[:count].tolist())]


def read_items(file: str) -> Iterator[Item]:
    """Read the documents of a JSONL task.

    Args:
        file: Path or URL.

    Yields:
        Its documents, in order.

    Raises:
        DataError: A line is no document, or there is none.
    """
    count = 0
    for number, line in enumerate(_lines(file), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            fields = _gold(record)
        except NoGoldError as error:
            raise DataError(f"{file}: line {number}: {error}") from error
        except RecursionError as error:
            raise DataError(
                f"{file}: line {number}: found JSON that is nested too deeply; expected one JSON object a line"
            ) from error
        except ValueError as error:
            raise DataError(
                f"{file}: line {number}: found no JSON ({error}); expected one JSON object a line"
            ) from error
        for name in ("context", "continuation"):
            if not isinstance(fields.get(name), str):
                raise DataError(f"{file}: line {number}: found no text in field {name!r}; expected text")
            if not is_utf8(fields[name]):
                raise DataError(f"{file}: line {number}: field {name!r}: {HALF_A_CHARACTER}")
        if not fields["continuation"]:
            raise DataError(f"{file}: line {number}: found an empty continuation; expected text to score")
        count += 1
        yield Item(fields["context"], fields["continuation"])
    if not count:
        raise DataError(f"{file}: found no documents; expected at least one")


def _lines(file: str) -> Iterator[bytes]:
    """The lines of a file, which may be compressed."""
    try:
        with open_file(file) as raw:
            yield from decompressed(raw, file)
    except (ConnectionError, PermissionError, FileNotFoundError):
        raise
    except DAMAGE as error:
        raise DataError(f"{file}: cannot be read: {error}; expected an undamaged file") from error


def _gold(record: Any) -> dict[str, Any]:
    """{context, continuation} of a document in any of the forms. Raises NoGoldError."""
    if not isinstance(record, dict):
        return {}
    if "choices" in record and "query" in record:
        options = record["choices"]
        if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
            raise NoGoldError("found no list of texts in field 'choices'; expected the options")
        return {"context": record["query"], "continuation": options[gold_option(options, record.get("gold"))]}
    if "arguments" in record:
        pairs = _pairs(record["arguments"])
        position = 0 if len(pairs) == 1 else gold_option([str(pair[1]) for pair in pairs], record.get("target"))
        return dict(zip(("context", "continuation"), pairs[position], strict=False))
    return record


def _pairs(arguments: Any) -> list[list[Any]]:
    """[context, continuation] of each option of a log. Raises NoGoldError."""
    if isinstance(arguments, dict):  # newer logs: {"gen_args_0": {"arg_0": context, "arg_1": continuation}}
        pairs = [[each.get("arg_0"), each.get("arg_1")] for each in arguments.values() if isinstance(each, dict)]
    else:
        pairs = [list(each) for each in arguments if isinstance(each, (list, tuple))]
    if not pairs or any(len(pair) < 2 for pair in pairs):
        raise NoGoldError("found no [context, continuation] in field 'arguments'; expected one for each option")
    return pairs
