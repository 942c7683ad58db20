from pathlib import Path

from olmix_core.data.corpus import LeafStatistics
from olmix_core.storage.store import Store
from tasks.runtime.artifacts import Artifacts, Done
from tasks.steps.statistics import StatisticsPayload, StatisticsResult, statistics

COUNTS = LeafStatistics(documents=2, bytes=300, tokens=110, heldout_tokens=10, heldout_bytes=20)


def test_the_artifact_counts_and_names_the_files_that_are_skipped(tmp_path: Path) -> None:
    artifacts = Artifacts("mix", Store(str(tmp_path)), {})

    def done(label: str, **where: str) -> Done[StatisticsPayload, StatisticsResult]:
        result = StatisticsResult(COUNTS, {})
        return Done(StatisticsPayload(label, "t"), {"label": label, **where}, result, "executed")

    assert statistics.artifact is not None
    without = statistics.artifact([done("web"), done("code")], artifacts)
    lines = statistics.artifact([done("web", skipped="2 files (2 *.pdf: a.pdf, b.pdf)"), done("code")], artifacts)
    assert lines[: len(without)] == without
    assert lines[-1] == "| web | 2 files (2 *.pdf: a.pdf, b.pdf) |"
