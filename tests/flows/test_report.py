"""What a run leaves to be looked at."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from olmix_core.mixes.loading import load

Run = Callable[[Path], tuple[dict[str, Any], dict[str, int]]]


def test_a_run_leaves_a_report_and_the_runs_of_every_vintage(
    finished: Callable[..., Callable[..., Path]], run_flow: Run, tmp_path: Path
) -> None:
    edit = finished()
    run_flow(edit())
    folder = tmp_path / "store/mixes/test"
    first = load(str(tmp_path / "store"))
    assert first.title == "test v0001"
    assert {one.vintage for one in first.runs} == {"v0001"}
    assert all(len(one.losses) > 1 for one in first.runs)
    assert (folder / "v0001/report.html").stat().st_size < 5_000_000
    # The same wishes give the same mixture again.
    assert first.propose() == pytest.approx(
        dict(zip(first.table["domain"], first.table["weight"], strict=True)), abs=1e-6
    )

    def drop(config: dict[str, Any]) -> None:
        config["domains"] = [domain for domain in config["domains"] if domain["name"] != "guide"]
        config["proposal"] = {"kl": 0.2}

    record, executed = run_flow(edit(drop))
    assert record["version"] == "v0002"
    assert "train" not in executed
    second = load(str(tmp_path / "store"))
    assert {one.vintage for one in second.runs} == {"v0001"}
    assert [row.version for row in second.lineage] == ["v0001", "v0002"]
    page = (folder / "v0002/report.html").read_text()
    assert 'id="figure-lineage"' in page
    assert "what was learnt of it stays in the law" in page
    # What is known of the leaf that is gone is still a column of the law, and has no label.
    assert len(second.surrogate.leaves) == 3
    assert second.columns.shape == (3, 2)


@pytest.mark.long
def test_a_report_that_went_missing_is_written_again(
    finished: Callable[..., Callable[..., Path]], run_flow: Run, tmp_path: Path
) -> None:
    edit = finished()
    run_flow(edit())
    report = tmp_path / "store/mixes/test/v0001/report.html"
    content = report.read_bytes()
    report.unlink()
    record, _ = run_flow(edit())
    assert record["version"] == "v0001"
    assert report.read_bytes() == content
    assert yaml.safe_load((tmp_path / "mix.yaml").read_text())["name"] == "test"


@pytest.mark.long
def test_every_step_says_what_it_did(project: Callable[..., Path], run_flow: Run) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    run_flow(project(name="told"))
    run_flow(project(name="told", proposal={"kl": 0.3}))
    steps = (
        "tokenizer",
        "statistics",
        "plan",
        "swarm",
        "train",
        "evaluate",
        "evidence",
        "fit",
        "propose",
        "mix",
        "progress",
    )
    expected = {
        "statistics": ("| code |", "cached"),
        "dimensions": ("6 proxies over 3 free dimensions", "| free |"),
        "swarm": ("6 mixtures", "data:image/png;base64,"),
        "train": ("| [005](http", "last loss", "cached"),
        "evaluate": ("| code |", "best BPB"),
        "fit": ("| mean over tasks |", "data:image/png;base64,"),
        "propose": ("KL weight 0.3", "executed", "data:image/png;base64,"),
        "mix": ("90 % interval", "report.html", "data:image/png;base64,"),
    }
    with get_client(sync_client=True) as client:
        for step in steps:
            key = f"{step}-told"
            found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
            # The tokenizer is frozen at the first run, and not made again.
            assert found, key
            latest = max(found, key=lambda artifact: artifact.created or 0)
            assert len(str(latest.data)) < 1_000_000
            for words in expected.get(step, ()):
                assert words in str(latest.data), (key, words)
            if step == "progress":
                assert float(str(latest.data)) == 100.0
