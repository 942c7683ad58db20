"""Fingerprints of the content, the tasks and the tokenizer that an import map names.

Content and tasks are read as those of a configuration are, so that the same files have the same fingerprints.
"""

import csv
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType

from olmix_core.config.config import Config
from olmix_core.config.domains import Domain
from olmix_core.config.evaluation import Evaluation, Task
from olmix_core.config.tokenizer import TokenizerFile
from olmix_core.data.domains import DomainSet, read_domains
from olmix_core.data.tasks import read_tasks
from olmix_core.data.tokenizer import load_tokenizer
from olmix_core.errors import ConfigError, DataError
from olmix_core.evidence.rows import declared
from olmix_core.identity import content_fingerprint
from olmix_core.interop.import_map import DomainEntry, EntryT, TaskEntry, TokenizerEntry
from olmix_core.storage.content_index import ContentIndex


def content_fingerprints(file: Path, domains: Mapping[str, DomainEntry]) -> dict[str, str]:
    """Identify the content of columns.

    Args:
        file: The map, which paths are relative to.
        domains: {column: entry}.

    Returns:
        {column: fingerprint}; mixtures of other columns are left out.

    Raises:
        ConfigError: If content cannot be read, or two columns have the same.
        DataError: If a manifest is invalid.
    """

    def identify(column: str, entry: DomainEntry, index: ContentIndex) -> str | None:
        if entry.manifest is not None:
            return _manifest(_path(file, entry.manifest), f"domains.{column}.manifest", str(file))
        return None if entry.paths is None else _fingerprint(file, column, entry, index)

    return _fingerprints(file, "domains", domains, identify)


def task_fingerprints(file: Path, tasks: Mapping[str, TaskEntry], scales: Mapping[str, str]) -> dict[str, str]:
    """Identify the tasks of columns.

    Args:
        file: The map, which paths are relative to.
        tasks: {column: entry}.
        scales: {column: name of its scale} of columns that are not in BPB. They are other tasks than those in BPB.

    Returns:
        {column: fingerprint}.

    Raises:
        ConfigError: If a file cannot be read, two columns are the same task, or a task on record has another scale.
        DataError: If a file does not contain documents.
    """

    def identify(column: str, entry: TaskEntry, index: ContentIndex) -> str | None:
        if entry.file is None:
            return None
        config = _config([Domain(name="any", paths=["any"])], str(_path(file, entry.file)))
        try:
            [task] = read_tasks(config, str(file), DomainSet(()), index)
        except ConfigError as error:
            raise ConfigError(str(file), f"tasks.{column}.file", error.found, error.expected) from error
        return task.fingerprint

    for column, scale in scales.items():
        if column in tasks and not tasks[column].declared:
            expected = "the word declared: a file or a fingerprint is of a task in bits per byte"
            raise ConfigError(str(file), f"tasks.{column}", f"values in another scale ({scale})", expected)
    labels = {column: f"{column} ({scale})" for column, scale in scales.items()}
    return _fingerprints(file, "tasks", tasks, identify, labels)


def _fingerprints(
    file: Path,
    section: str,
    entries: Mapping[str, EntryT],
    identify: Callable[[str, EntryT, ContentIndex], str | None],
    labels: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """{column: fingerprint} of a section; `identify` reads those given by files, `labels` are declared for columns."""
    column_of: dict[str, str] = {}
    with closing(ContentIndex()) as index:
        for column, entry in entries.items():
            if entry.declared:
                fingerprint: str | None = declared(labels.get(column, column))
            else:
                fingerprint = entry.fingerprint or identify(column, entry, index)
            if fingerprint is None:
                continue
            if fingerprint in column_of:
                same = f"what {column_of[fingerprint]!r} is"
                raise ConfigError(str(file), f"{section}.{column}", same, "every column to be another thing")
            column_of[fingerprint] = column
    return {column: fingerprint for fingerprint, column in column_of.items()}


def tokenizer_fingerprint(file: Path, tokenizer: TokenizerEntry) -> str:
    """Identify the tokenizer.

    Args:
        file: The map, which paths are relative to.
        tokenizer: Its section.

    Returns:
        The fingerprint.

    Raises:
        ConfigError: If the file cannot be read.
        DataError: If it is not a tokenizer.
    """
    if tokenizer.path is None:
        return tokenizer.fingerprint or declared(str(tokenizer.declared))
    path = _path(file, tokenizer.path)
    try:
        definition = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise ConfigError(str(file), "tokenizer.path", f"{path}: {reason}", "a tokenizer.json") from error
    return load_tokenizer(definition, str(path), tokenizer.eos).fingerprint


def _path(file: Path, path: str) -> Path:
    return file.parent / Path(path).expanduser()


def _config(domains: list[Domain], task: str) -> Config:
    """A configuration, so that content is read as that of a mix is; it may contain files of tokens."""
    return Config(
        name="import",
        domains=domains,
        tokenizer=TokenizerFile(kind="file", path="any"),
        evaluation=Evaluation(tasks=[Task(name="any", file=task)]),
    )


def _fingerprint(file: Path, column: str, entry: DomainEntry, index: ContentIndex) -> str:
    """The fingerprint of the files of a column."""
    patterns = [entry.paths] if isinstance(entry.paths, str) else entry.paths or []
    paths = [path if "://" in path else str(_path(file, path)) for path in patterns]
    leaf = Domain(name="any", paths=paths, text_field=entry.text_field, dtype=entry.dtype, skip=entry.skip)
    try:
        return read_domains(_config([leaf], "any"), str(file), index).fingerprints[0]
    except ConfigError as error:
        raise ConfigError(str(file), f"domains.{column}.paths", error.found, error.expected) from error


def _manifest(path: Path, field: str, file: str) -> str:
    """The fingerprint of content listed in a CSV file: hash, size and reader, a row per file."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise ConfigError(file, field, f"{path}: {reason}", "a CSV file with the columns hash, size, reader") from error
    files = []
    for number, row in enumerate(rows, start=2):
        try:
            files.append((str(row["hash"]).strip(), int(row["size"]), str(row["reader"]).strip()))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path}: line {number}: found {row}; expected hash, size (bytes) and reader of a file"
            ) from error
    if not files:
        raise DataError(f"{path}: found no files; expected a row per file, with hash, size and reader")
    return content_fingerprint(files)
