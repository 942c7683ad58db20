"""The evaluation suite: what the mixture is to be good at, as tasks that are known by their content.

A task is a JSONL file of {"context", "continuation"}, or the held-out text of one or more leaves. Its name is a label:
it is no part of its identity.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import fsspec

from olmix_core.config import Config, Task
from olmix_core.domains import DomainSet
from olmix_core.errors import ConfigError, DataError
from olmix_core.fingerprint import ContentIndex, digest
from olmix_core.formats import HALF_A_CHARACTER, is_utf8


@dataclass(frozen=True)
class EvaluationTask:
    """A task, known by its content: a JSONL file at `file`, or the held-out text of `leaves` (fingerprints).

    weight is that in the mean over tasks, the mean over families worked out.
    """

    label: str
    fingerprint: str
    weight: float
    file: str | None
    leaves: tuple[str, ...]
    family: str | None = None


@dataclass(frozen=True)
class Item:
    """One document of a JSONL task."""

    context: str
    continuation: str


def read_tasks(config: Config, config_file: str, domains: DomainSet, index: ContentIndex) -> tuple[EvaluationTask, ...]:
    """The tasks of a configuration, checked to the last line, ordered by fingerprint.

    Raises:
        ConfigError: a file cannot be read, a held-out domain does not exist, or two tasks are the same.
        DataError: a line of a file is no {"context", "continuation"}.
    """
    tasks: dict[str, EvaluationTask] = {}
    weights = config.evaluation.weights
    for position, task in enumerate(config.evaluation.tasks):
        field = f"evaluation.tasks[{position}]"
        found = _read_task(task, config_file, field, domains, index)
        if found.fingerprint in tasks:
            same = tasks[found.fingerprint].label
            raise ConfigError(
                config_file,
                field,
                f"the content of task {same!r} again",
                "every task to be another one",
            )
        tasks[found.fingerprint] = replace(found, weight=weights[task.label], family=task.family)
    return tuple(tasks[fingerprint] for fingerprint in sorted(tasks))


def _read_task(task: Task, config_file: str, field: str, domains: DomainSet, index: ContentIndex) -> EvaluationTask:
    if task.heldout is not None:
        leaves = domains.under(task.heldout)
        if not leaves:
            raise ConfigError(
                config_file,
                f"{field}.heldout",
                repr(task.heldout),
                "the name of a domain: " + ", ".join(sorted(domains.labels.values())),
            )
        fingerprints = tuple(leaf.fingerprint for leaf in leaves)
        return EvaluationTask(task.label, digest({"heldout": fingerprints}), task.weight, None, fingerprints)
    assert task.file is not None
    try:
        content, _ = index.hash(task.file)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(config_file, f"{field}.file", f"{task.file}: {reason}", "a file that can be read") from error
    for _ in read_items(task.file):
        pass
    return EvaluationTask(task.label, digest({"file": content}), task.weight, task.file, ())


def read_items(file: str) -> Iterator[Item]:
    """The documents of a JSONL task. Raises DataError, naming the line."""
    count = 0
    with fsspec.open(file, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise DataError(
                    f"{file}: line {number}: found no JSON ({error}); expected one JSON object a line"
                ) from error
            for name in ("context", "continuation"):
                if not isinstance(record, dict) or not isinstance(record.get(name), str):
                    raise DataError(f"{file}: line {number}: found no text in field {name!r}; expected text")
                if not is_utf8(record[name]):
                    raise DataError(f"{file}: line {number}: field {name!r}: {HALF_A_CHARACTER}")
            if not record["continuation"]:
                raise DataError(f"{file}: line {number}: found an empty continuation; expected text to score")
            count += 1
            yield Item(record["context"], record["continuation"])
    if not count:
        raise DataError(f"{file}: found no documents; expected at least one")
