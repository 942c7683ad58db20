"""The registry of steps: their order, and what follows what."""

from pathlib import Path

import pytest

from tasks.runtime.registry import Stage, StageRegistry
from tasks.runtime.step import Step
from tasks.steps import STEPS

CHAIN = [
    "tokenizer",
    "statistics",
    "plan",
    "swarm",
    "train",
    "evaluate",
    "evidence",
    "fit",
    "choose",
    "propose",
    "publish",
]
CACHING = (Path(__file__).parents[3] / "docs" / "caching.md").read_text()


def test_steps_are_in_the_order_of_the_chain() -> None:
    assert [stage.name for stage in STEPS if stage.name in CHAIN] == CHAIN


def test_what_follows_leaves_out_what_only_some_runs_have() -> None:
    following = [stage.name for stage in STEPS.following("evaluate") if stage.name in CHAIN]
    assert following == ["evidence", "fit", "propose", "publish"]


@pytest.mark.parametrize("name", [stage.name for stage in STEPS])
def test_every_step_is_documented(name: str) -> None:
    assert f"\n| `{name}` | " in CACHING


def test_every_value_comes_from_a_cause_or_from_an_earlier_step() -> None:
    earlier = {"CODE", "DATA", "PARAMS", "EVAL"}
    for stage in STEPS:
        if isinstance(stage, Step):
            assert set(stage.sources.values()) <= earlier, stage.name
            earlier.add(stage.name)


def test_a_name_is_declared_once() -> None:
    registry = StageRegistry()
    registry.register(Stage(name="fit", title="fit"))
    with pytest.raises(ValueError, match="declared twice"):
        registry.register(Stage(name="fit", title="another"))
