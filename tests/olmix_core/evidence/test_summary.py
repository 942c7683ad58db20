from datetime import UTC, datetime

import pytest

from olmix_core.evidence.merge import MergedEvidence, merge
from olmix_core.evidence.rows import EvidenceRow, to_table
from olmix_core.evidence.summary import Filters, SwarmSummary, overview, select

ROWS = [
    EvidenceRow("p1", {"a": 1.0}, {"arc": 1.0}, {"layers": 1}, "tok", "early", source="mix@v0001", tokens=10),
    EvidenceRow("p2", {"a": 0.5, "b": 0.5}, {"arc": 1.1}, {"layers": 1}, "tok", "early", source="mix@v0001", tokens=20),
    EvidenceRow("p3", {"c": 1.0}, {"code": 0.9}, {"layers": 2}, "other", "late", source="swarm.csv", imported=True),
]


@pytest.fixture
def evidence() -> MergedEvidence:
    rows = [
        EvidenceRow(**{**vars(row), "recorded": datetime(2026, 1, day, tzinfo=UTC)}) for day, row in enumerate(ROWS, 1)
    ]
    return merge(to_table(rows))


def test_overview_has_a_summary_for_each_swarm_oldest_first(evidence: MergedEvidence) -> None:
    early, late = overview(evidence)
    assert (early.swarm, early.proxies, early.domains, early.tasks, early.tokens) == ("early", 2, 2, 1, 30)
    assert (late.swarm, late.proxies, late.imported, late.tokens) == ("late", 1, True, None)
    assert early.recorded == "2026-01-01T00:00:00Z"
    assert SwarmSummary.from_json(early.to_json()) == early


@pytest.mark.parametrize(
    ("filters", "proxies"),
    [
        (Filters(), ["p1", "p2", "p3"]),
        (Filters(swarm="ea"), ["p1", "p2"]),
        (Filters(source="mix"), ["p1", "p2"]),
        (Filters(source="mix@v0001"), ["p1", "p2"]),
        (Filters(source="swarm"), []),
        (Filters(tokenizer="oth", swarm="late"), ["p3"]),
        (Filters(recipe="no such"), []),
    ],
)
def test_select_keeps_proxies_that_pass_all_filters(
    filters: Filters, proxies: list[str], evidence: MergedEvidence
) -> None:
    assert list(merge(evidence.rows(select(evidence, filters))).proxies) == proxies
