"""What a step says of itself, and that it fits into the UI."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from olmix_core.config.swarm import SwarmSampling
from olmix_core.proxies.results import TrainingProgress
from olmix_core.report.markdown import picture
from olmix_core.storage.store import Store
from tasks.runtime import artifacts
from tasks.runtime.artifacts import Artifacts, Done, publish_markdown
from tasks.runtime.progress import RunProgress
from tasks.runtime.progress_artifact import state
from tasks.steps.swarm import SwarmPayload, SwarmResult, swarm
from tasks.steps.train import TrainPayload, TrainResult, train


def test_an_artifact_that_would_be_too_large_goes_without_its_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[str] = []
    monkeypatch.setattr(artifacts, "create_markdown_artifact", lambda key, markdown, description: left.append(markdown))
    shown = picture(Figure(figsize=(1, 1)), "an empty figure")
    assert shown.startswith("![an empty figure](data:image/png;base64,iVBOR")
    publish_markdown("k", f"words\n{shown}\n", "d")
    assert shown in left[0]
    monkeypatch.setattr(artifacts, "LIMIT", 200)
    publish_markdown("k", f"words\n{shown}\n", "d")
    assert "base64" in left[0]
    assert left[1] == "words\n\nThe pictures are too large to be shown here."


def test_only_our_own_links_and_pictures_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[str] = []
    monkeypatch.setattr(artifacts, "create_markdown_artifact", lambda key, markdown, description: left.append(markdown))
    ours = "| [001](http://127.0.0.1:4200/runs/x) | ![a](data:image/png;base64,iVBOR) |"
    publish_markdown("k", f"{ours} [b](c) | ![d](e) | <b> & a[1] |", "d")
    assert left == [rf"{ours} \[b](c) | !\[d](e) | &lt;b> &amp; a[1] |"]


def test_a_swarm_of_64_leaves_and_512_runs_fits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import numpy as np

    left: list[str] = []
    monkeypatch.setattr(artifacts, "create_markdown_artifact", lambda key, markdown, description: left.append(markdown))
    leaves = [f"source:{k:02d}-with-a-long-name-of-a-topic" for k in range(64)]
    drawn = np.random.default_rng(0).dirichlet([0.3] * 64, 512)
    natural = dict.fromkeys(leaves, 1 / 64)
    mixtures = [dict(zip(leaves, row.tolist(), strict=True)) for row in drawn]
    proxies = [
        Done(
            TrainPayload(mixture, {}, "tokenizer"),
            {"label": f"{k:03d}"},
            TrainResult("0" * 64, parameters=10**7, tokens=10**9, seconds=1e4, loss=2.5),
            "executed",
            "http://127.0.0.1:4200/runs/task-run/00000000-0000-0000-0000-000000000000",
        )
        for k, mixture in enumerate(mixtures)
    ]
    made = Artifacts("big", Store(str(tmp_path)), {})
    payload = SwarmPayload([], natural, 512, SwarmSampling(), {})
    assert swarm.artifact is not None
    assert train.artifact is not None
    made.leave("swarm", [Done(payload, {}, SwarmResult(mixtures), "executed")], swarm.artifact, "swarm")
    made.leave("train", proxies, train.artifact, "train")
    assert "data:image/png" in left[0]
    assert "[511](http://127.0.0.1:4200/runs" in left[1]
    assert all(len(markdown) < 1_000_000 for markdown in left)


def test_progress_counts_from_nothing_to_done() -> None:
    tracked = RunProgress()
    seen = [state(tracked)[0]]
    for step, results in (("plan", 1), ("train", 4), ("evaluate", 8), ("evidence", 1), ("fit", 1), ("propose", 1)):
        tracked.expect(step, results)
        for _ in range(results):
            tracked.started(step)
            if step == "train":
                tracked.advanced("train", "000", TrainingProgress(0.5, 2000.0))
                percent, words = state(tracked)
                assert "1 running" in words
                assert "2,000 tokens/s" in words
                seen.append(percent)
                tracked.left("train", "000")
            tracked.finished(step)
            seen.append(state(tracked)[0])
    assert seen == sorted(seen)
    assert state(tracked) == (100.0, "done")


def test_progress_of_a_run_with_nothing_to_train() -> None:
    tracked = RunProgress()
    for step in ("plan", "train", "evaluate"):
        tracked.expect(step, 0 if step == "train" else 1)
        tracked.finished(step, cached=True) if step != "train" else None
    assert state(tracked)[0] == pytest.approx(92.6, abs=0.05)
