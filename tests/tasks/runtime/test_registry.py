"""The registry of steps: their order, and what follows what."""

import pytest

from tasks.runtime.registry import Stage, StageRegistry
from tasks.runtime.step import Step
from tasks.steps import STEPS


def test_steps_are_in_the_order_of_the_chain() -> None:
    assert [stage.name for stage in STEPS] == [
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


def test_what_follows_leaves_out_what_only_some_runs_have() -> None:
    assert [stage.name for stage in STEPS.following("evaluate")] == ["evidence", "fit", "propose", "publish"]


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
