"""The evaluation suite: what the mixture is to be good at, as tasks that are known by their content.

A task is a file of documents (or a fixed sample of them), plain text, the held-out text of one or more leaves, or a
metric of a trainer of your own. Its name and its family are labels: they are no part of its identity.

A line of a file is a document, in one of the forms that are in use:

    {"context": ..., "continuation": ...}                                     our own
    {"query": ..., "choices": [...], "gold": 1}                               multiple choice
    {"doc_id": ..., "arguments": [[context, continuation], ...], "target"}    what lm-evaluation-harness logs
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from olmix_core.config.config import Config
from olmix_core.config.evaluation import Task
from olmix_core.data.documents import text_documents
from olmix_core.data.domains import DomainSet
from olmix_core.data.encoding import HALF_A_CHARACTER, is_utf8
from olmix_core.data.formats import suffix_of, suffixes
from olmix_core.data.input_file import InputFile
from olmix_core.errors import ConfigError, DataError
from olmix_core.identity import digest, seed_of
from olmix_core.storage.content_index import ContentIndex
from olmix_core.storage.filesystem import open_file, reason_of
from olmix_core.storage.listing import expand


@dataclass(frozen=True)
class EvaluationTask:
    """A task, known by its content; weight is that in the mean over tasks, the mean over families worked out.

    It is the JSONL file `file`, of which `sample` (documents, seed) may choose some; or the plain text `texts`; or the
    held-out text of `leaves` (fingerprints); or the `metric` of a trainer of your own.
    """

    label: str
    fingerprint: str
    weight: float
    file: str | None = None
    leaves: tuple[str, ...] = ()
    texts: tuple[InputFile, ...] = ()
    metric: str | None = None
    sample: tuple[int, int] | None = None
    family: str | None = None

    def where(self) -> dict[str, Any]:
        """What the step that evaluates needs to find the task, as plain JSON."""
        return {
            "file": self.file,
            "sample": list(self.sample) if self.sample else None,
            "texts": [asdict(text) for text in self.texts],
            "metric": self.metric,
        }


@dataclass(frozen=True)
class Item:
    """One document of a JSONL task."""

    context: str
    continuation: str


def read_tasks(config: Config, config_file: str, domains: DomainSet, index: ContentIndex) -> tuple[EvaluationTask, ...]:
    """The tasks of a configuration, checked to the last line, ordered by fingerprint.

    Raises:
        ConfigError: a file cannot be read, a held-out domain does not exist, or two tasks are the same.
        DataError: a line of a file is no document.
    """
    tasks: dict[str, EvaluationTask] = {}
    weights = config.evaluation.weights
    for position, task in enumerate(config.evaluation.tasks):
        place = f"evaluation.tasks[{position}]"
        found = _read_task(task, config_file, place, domains, index)
        if found.fingerprint in tasks:
            same = tasks[found.fingerprint].label
            raise ConfigError(
                config_file,
                place,
                f"the content of task {same!r} again",
                "every task to be another one",
            )
        tasks[found.fingerprint] = replace(found, weight=weights[task.label], family=task.family)
    return tuple(tasks[fingerprint] for fingerprint in sorted(tasks))


def _read_task(task: Task, config_file: str, place: str, domains: DomainSet, index: ContentIndex) -> EvaluationTask:
    common: dict[str, Any] = {"label": task.label, "weight": task.weight, "family": task.family}
    if task.heldout is not None:
        leaves = domains.under(task.heldout)
        if not leaves:
            raise ConfigError(
                config_file,
                f"{place}.heldout",
                repr(task.heldout),
                "the name of a domain: " + ", ".join(sorted(domains.labels.values())),
            )
        fingerprints = tuple(leaf.fingerprint for leaf in leaves)
        return EvaluationTask(fingerprint=digest({"heldout": fingerprints}), leaves=fingerprints, **common)
    if task.metric is not None:
        return EvaluationTask(fingerprint=digest({"metric": task.metric}), metric=task.metric, **common)
    if task.text is not None:
        return _text_task(task, task.text, config_file, place, index, common)
    assert task.file is not None
    try:
        content, _ = index.hash(task.file)
    except OSError as error:
        raise ConfigError(
            config_file, f"{place}.file", f"{task.file}: {reason_of(error)}", "a file that can be read"
        ) from error
    # Checked to its last line once; a content that was found good stays good.
    known = index.recall(content, "documents")
    documents = int(known) if known is not None else sum(1 for _ in read_items(task.file))
    index.learn([(content, "documents", str(documents))])
    if task.sample is None or task.sample >= documents:
        return EvaluationTask(fingerprint=digest({"file": content}), file=task.file, **common)
    chosen = (task.sample, task.sample_seed)
    return EvaluationTask(
        fingerprint=digest({"file": content, "sample": chosen}), file=task.file, sample=chosen, **common
    )


def _text_task(
    task: Task, patterns: list[str], config_file: str, place: str, index: ContentIndex, common: dict[str, Any]
) -> EvaluationTask:
    field = f"{place}.text"
    texts, contents = [], []
    try:
        for found in (found for pattern in patterns for found in expand(pattern, suffixes())):
            suffix = suffix_of(found.url)
            if suffix not in suffixes("text"):
                raise ConfigError(config_file, field, found.url, f"text: {', '.join(suffixes('text'))}")
            content, size = index.hash(found)
            texts.append(InputFile(found.url, f"{suffix} text", content=content, size=size))
            contents.append([content, size, f"{suffix} text"])
    except OSError as error:
        reason = f"{', '.join(patterns)}: {reason_of(error)}"
        raise ConfigError(config_file, field, reason, "files that can be read") from error
    if not texts:
        raise ConfigError(config_file, field, f"no file at {', '.join(patterns)}", "at least one")
    for text in texts:
        if index.recall(text.content, f"opens as {text.reader}") is None:
            next(text_documents(text), None)
            index.learn([(text.content, f"opens as {text.reader}", "yes")])
    return EvaluationTask(fingerprint=digest({"text": sorted(contents)}), texts=tuple(texts), **common)


def sampled(items: list[Item], sample: tuple[int, int] | None) -> list[Item]:
    """The documents that `sample` (how many, seed) chooses, in their order; a larger sample holds a smaller one."""
    if sample is None:
        return items
    count, seed = sample
    return [items[i] for i in sorted(seed_of("sample", seed).permutation(len(items))[:count].tolist())]


def read_items(file: str) -> Iterator[Item]:
    """The documents of a JSONL task. Raises DataError, naming the line."""
    count = 0
    with open_file(file) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise DataError(
                    f"{file}: line {number}: found no JSON ({error}); expected one JSON object a line"
                ) from error
            fields = _gold(record)
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


def _gold(record: Any) -> dict[str, Any]:
    """{context, continuation} of a document in any of the forms; what is not there is left out."""
    if not isinstance(record, dict):
        return {}
    if "choices" in record and "query" in record:
        return {"context": record["query"], "continuation": _chosen(record["choices"], record.get("gold"))}
    if "arguments" in record:
        arguments = record["arguments"]
        if isinstance(arguments, dict):  # newer logs: {"gen_args_0": {"arg_0": context, "arg_1": continuation}}
            pairs = [[one.get("arg_0"), one.get("arg_1")] for one in arguments.values() if isinstance(one, dict)]
        else:
            pairs = [list(one) for one in arguments if isinstance(one, (list, tuple))]
        pair = pairs[0] if len(pairs) == 1 else _chosen(pairs, record.get("target"))
        return dict(zip(("context", "continuation"), pair or [], strict=False))
    return record


def _chosen(options: Any, gold: Any) -> Any:
    """The option that `gold` numbers, from 0, as a number or as text; None where it numbers none."""
    text = str(gold)
    if not isinstance(options, list) or not text.isdecimal() or int(text) >= len(options):
        return None
    return options[int(text)]
