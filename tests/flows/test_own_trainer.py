"""A trainer of your own in the flow, and the swarm written out for it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.swarm import draw_swarm
from olmix_core.config.load import load_config
from olmix_core.errors import ConfigError, EvaluationError
from olmix_core.planning.preflight import resolve_inputs

Project = Callable[..., Path]
Run = Callable[[Path], tuple[dict[str, Any], dict[str, int]]]

# "Trains" by a law: code helps the one metric and harms the other.
TRAINER = """
import json, math, pathlib, sys
mixture = json.loads(pathlib.Path(sys.argv[1]).read_text())
assert all(pathlib.Path(file["path"]).exists() for domain in mixture["domains"] for file in domain["files"])
code = mixture["weights"].get("code", 0.0)
metrics = {"humaneval": 1 + math.exp(-2 * code), "arc": 1 + 0.3 * code, "tokens": mixture["tokens"]}
pathlib.Path(sys.argv[2]).write_text(json.dumps(metrics))
with open(pathlib.Path(__file__).parent / "calls.txt", "a") as calls:
    calls.write(mixture["name"] + "\\n")
"""


@pytest.fixture
def own(project: Project, tmp_path: Path) -> Callable[..., Path]:
    (tmp_path / "trainer.py").write_text(TRAINER)
    command = f"'{sys.executable}' '{tmp_path}/trainer.py' {{config}} {{metrics}}"
    proxy = yaml.safe_load(project().read_text())["proxy"]

    def make(**changes: Any) -> Path:
        config: dict[str, Any] = {
            "proxy": {**proxy, "trainer": "law 1"},
            "execution": {"command": command},
            "evaluation": {"tasks": [{"metric": "humaneval"}, {"metric": "arc", "weight": 0.1}]},
        }
        return project(**{**config, **changes})

    return make


def test_it_trains_and_measures_and_the_rest_is_as_ever(run: Run, own: Callable[..., Path], tmp_path: Path) -> None:
    path = own()
    config = load_config(path)
    mixtures = draw_swarm(config, str(path), resolve_inputs(config, str(path)))
    assert not (tmp_path / "calls.txt").exists()
    record, executed = run(path)
    # What was drawn to be written out is what is trained on, and was not counted again.
    trained = [json.loads(file.read_text())["mixture"] for file in (tmp_path / "store" / "proxies").glob("*/run.json")]
    assert sorted(map(str, trained)) == sorted(map(str, mixtures))
    assert "statistics" not in executed
    assert (executed["train"], executed["evaluate"]) == (6, 12)
    # Each mixture once, by name.
    calls = (tmp_path / "calls.txt").read_text().split()
    assert sorted(calls) == [f"test-{i:03d}" for i in range(6)]
    assert record["weights"]["code"] > 0.6
    assert {task["name"] for task in record["tasks"]} == {"humaneval", "arc"}
    # Where and how it is run is no part of what a proxy is.
    config = yaml.safe_load(path.read_text())
    config["execution"] = {"command": "true {config} {metrics}", "timeout_hours": 1}
    path.write_text(yaml.safe_dump(config))
    assert run(path)[1] == {"publish": 1}
    # One more metric of the same runs: nothing is trained.
    config["evaluation"]["tasks"].append({"metric": "tokens"})
    path.write_text(yaml.safe_dump(config))
    _, executed = run(path)
    assert "train" not in executed
    assert executed["evaluate"] == 6
    config["evaluation"]["tasks"].append({"metric": "lambada"})
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(EvaluationError, match="measured no 'lambada'; expected one of: arc, humaneval, tokens"):
        run(path)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no command": ({"execution": {}}, r"execution\.command: found a trainer without a command"),
    "no trainer": ({"proxy": {"tokens": 2048}}, r"execution\.command: found a command without a trainer"),
    "a command that is told nothing": (
        {"execution": {"command": "train {config}"}},
        r"execution\.command: found 'train \{config\}'; expected \{config\} and \{metrics\} in it",
    ),
    "a task that it does not measure": (
        {"evaluation": {"tasks": [{"heldout": "code"}]}},
        r"evaluation\.tasks\[0\]: found task 'code', by law 1; expected metrics, and only metrics",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_work_stops_before_anything_runs(name: str, own: Callable[..., Path], tmp_path: Path) -> None:
    changes, message = BAD[name]
    path = own(**changes)
    with pytest.raises(ConfigError, match=message):
        resolve_inputs(load_config(path), str(path))
    assert not (tmp_path / "store").exists()


def test_a_metric_needs_a_trainer(project: Project) -> None:
    path = project(evaluation={"tasks": [{"metric": "arc"}]})
    with pytest.raises(ConfigError, match=r"found task 'arc', without proxy\.trainer"):
        resolve_inputs(load_config(path), str(path))
