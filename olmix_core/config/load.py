"""Reading of a configuration file.

Whatever is wrong with it is found before anything runs, and reported in one message that names the file, the field,
what was found and what was expected.
"""

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError

from olmix_core.config.config import Config
from olmix_core.config.domains import Domain
from olmix_core.config.errors import first_problem
from olmix_core.config.evaluation import Evaluation, Task, TaskList
from olmix_core.config.execution import Execution
from olmix_core.config.tokenizer import TokenizerFile
from olmix_core.config.yaml import UniqueKeys, read_mapping
from olmix_core.errors import ConfigError
from olmix_core.serialization import JsonMapping
from olmix_core.storage.credentials import EXPECTED, field_with_credentials
from olmix_core.storage.filesystem import check_reachable, open_file, reason_of


def load_config(path: str | Path, changes: JsonMapping | None = None) -> Config:
    """Read a configuration file. Relative paths in it are resolved against its folder.

    Args:
        path: The file.
        changes: {field: value} or {section: {field: value}} that replace what the file says.

    Returns:
        The configuration, with all lists of tasks read.

    Raises:
        ConfigError: The file cannot be read, is not YAML, or is invalid.
    """
    path = Path(path)
    data = read_mapping(path, "a mapping with name, domains and evaluation")
    if (secret := field_with_credentials(data)) is not None:
        raise ConfigError(str(path), secret, "credentials", EXPECTED)
    for name, value in (changes or {}).items():
        if not isinstance(value, Mapping):
            data[name] = value
        elif isinstance(data.setdefault(name, {}), dict):  # anything else is refused by the validation
            data[name] = {**data[name], **value}
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise first_problem(Config, path, error) from error
    return _with_lists(_resolved(config, path.resolve().parent), path)


def with_runner(config: Config, runner: str, path: str) -> Config:
    """Replace `execution.runner`. Settings of the former runner alone are dropped.

    Args:
        config: The configuration.
        runner: Name of the new runner.
        path: The configuration file, for messages.

    Returns:
        The changed configuration.

    Raises:
        ConfigError: The runner does not exist, or does not accept a setting.
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
        # Only ~/ is the home of the user: a file name may begin with the sign.
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
    """The configuration with every list of tasks replaced by its tasks."""
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
    """Read a list of tasks.

    Args:
        entry: The task with the field `list`; its sample and weight apply to tasks that set none.
        config_file: The configuration file, for messages.
        field: The field of the list, for messages.

    Returns:
        The tasks, with paths resolved against the folder of the list.

    Raises:
        ConfigError: The file cannot be read, or is no list of tasks.
    """
    assert entry.list is not None
    try:
        check_reachable([entry.list])
        with open_file(entry.list) as file:
            data = yaml.load(file.read().decode(), Loader=UniqueKeys)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error).lower()
        raise ConfigError(str(config_file), field, f"{entry.list}: {reason}", "a YAML file of tasks") from error
    if (secret := field_with_credentials(data)) is not None:
        raise ConfigError(entry.list, secret, "credentials", EXPECTED)
    try:
        tasks = TaskList.model_validate({"tasks": data}).tasks
    except ValidationError as error:
        raise first_problem(TaskList, Path(entry.list), error) from error
    folder = entry.list.rpartition("/")[0] or "."
    overrides = entry.model_dump(include={"sample", "sample_seed", "weight"} & entry.model_fields_set)
    return [
        task.model_copy(
            update={name: value for name, value in overrides.items() if name not in task.model_fields_set}
        ).placed(lambda path: path if "://" in path or path.startswith("/") else f"{folder}/{path}")
        for task in tasks
    ]
