"""What the step `train` says of the proxies of a swarm in its artifact."""

from pathlib import Path

from olmix_core.storage.store import Store
from tasks.runtime.artifacts import Artifacts, Done
from tasks.steps.train import TrainPayload, TrainResult, train


def described(tmp_path: Path, *results: TrainResult) -> list[str]:
    done = [Done(TrainPayload({"a": 1.0}, {}, "t"), {"label": "000"}, result, "executed") for result in results]
    assert train.artifact is not None
    return train.artifact(done, Artifacts("mix", Store(str(tmp_path)), {"a": "web"}))


def test_summary_adds_up_tokens_and_time(tmp_path: Path) -> None:
    one = TrainResult("0" * 64, parameters=1000, tokens=2_000_000, seconds=30.0, loss=2.5)
    diverged = TrainResult("1" * 64, diverged="the loss is nan")
    lines = described(tmp_path, one, one, diverged)
    assert lines[0] == "2 proxies of 1,000 parameters: 4M tokens, 60 s of one worker."
    assert sum("| diverged |" in line for line in lines) == 1
    assert sum("web 100%" in line for line in lines) == 3


def test_swarm_without_a_trained_proxy(tmp_path: Path) -> None:
    assert described(tmp_path) == ["Nothing is left to explore: no proxy."]
    assert described(tmp_path, TrainResult("1" * 64, diverged="the loss is nan"))[0] == "Every proxy diverged."
