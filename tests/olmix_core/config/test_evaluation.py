"""Lists of tasks in files of their own."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from olmix_core.config.config import Config
from olmix_core.config.load import load_config
from olmix_core.errors import ConfigError


def load(folder: Path, tasks: list[Any], files: dict[str, Any]) -> Config:
    for name, entries in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(entries if isinstance(entries, str) else yaml.safe_dump(entries))
    config = {"name": "test", "domains": [{"name": "a", "paths": "a.txt"}], "evaluation": {"tasks": tasks}}
    (folder / "mix.yaml").write_text(json.dumps(config))
    return load_config(folder / "mix.yaml")


def test_list_of_tasks_is_replaced_by_its_tasks(tmp_path: Path) -> None:
    entries = [
        {"file": "arc.jsonl", "family": "qa"},
        {"file": "/data/go.jsonl", "family": "code", "weight": 2, "sample": 7},
    ]
    tasks = [{"heldout": "a"}, {"list": "lists/mine.yaml", "sample": 100, "weight": 3}, {"metric": "loss"}]
    found = load(tmp_path, tasks, {"lists/mine.yaml": entries}).evaluation.tasks
    assert [task.label for task in found] == ["a", "arc", "go", "loss"]
    assert [task.file for task in found] == [None, f"{tmp_path}/lists/arc.jsonl", "/data/go.jsonl", None]
    # What a task says of itself wins over what is said of the list.
    assert [(task.sample, task.weight) for task in found[1:3]] == [(100, 3.0), (7, 2.0)]
    assert [task.family for task in found[1:3]] == ["qa", "code"]


BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no file": ([{"list": "x.yaml"}], {}, r"mix.yaml: evaluation.tasks[0].list: found "),
    "no YAML": ([{"list": "x.yaml"}], {"x.yaml": "a: ["}, r"mix.yaml: evaluation.tasks[0].list: found "),
    "no list": ([{"list": "x.yaml"}], {"x.yaml": {"a": 1}}, r"x.yaml: tasks: found {'a': 1}; expected"),
    "empty": ([{"list": "x.yaml"}], {"x.yaml": []}, r"x.yaml: tasks: found []; expected"),
    "a field that is none": (
        [{"list": "x.yaml"}],
        {"x.yaml": [{"fiel": "a"}]},
        "x.yaml: tasks[0].fiel: found an unknown field; expected one of name, file, text",
    ),
    "a list of lists": (
        [{"list": "x.yaml"}],
        {"x.yaml": [{"list": "y.yaml"}]},
        "x.yaml: (file): found a list in a list of tasks; expected tasks",
    ),
    "a name of a list": (
        [{"list": "x.yaml", "name": "n"}],
        {"x.yaml": [{"file": "a.jsonl"}]},
        "mix.yaml: evaluation.tasks[0]: found a name or family of a list; expected those of its tasks",
    ),
    "a name twice": (
        [{"list": "x.yaml"}, {"heldout": "a"}],
        {"x.yaml": [{"file": "a.jsonl"}]},
        "mix.yaml: evaluation.tasks: found two tasks called 'a'; expected different names",
    ),
    "two kinds": ([{"file": "a", "metric": "b"}], {}, "mix.yaml: evaluation.tasks[0]: found file and metric; expected"),
    "a sample of held-out text": (
        [{"heldout": "a", "sample": 3}],
        {},
        "mix.yaml: evaluation.tasks[0]: found sample with heldout; expected it with file or list only",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_invalid_settings_are_refused_by_name(name: str, tmp_path: Path) -> None:
    tasks, files, message = BAD[name]
    with pytest.raises(ConfigError, match="^" + re.escape(f"{tmp_path}/{message}")):
        load(tmp_path, tasks, files)
