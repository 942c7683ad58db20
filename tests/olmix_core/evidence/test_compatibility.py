"""Which rows pool, and why the others do not."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from olmix_core.evidence.compatibility import (
    CONTENT,
    EVALUATION,
    RECIPE,
    TASK_TEXT,
    TASKS,
    TOKENIZER,
    CompatibleEvidence,
    Requirements,
    describe_exclusions,
    select_compatible,
)
from olmix_core.evidence.rows import NOT_OURS, EvidenceRow, recipe_key, to_table
from olmix_core.evidence.task_text import Passages, TaskText

RECIPE_OF_TODAY = {"layers": 2}
WANTED = Requirements(recipe_key(RECIPE_OF_TODAY), "tok", 2, ["arc", "code"], ["web", "wiki"])
GOOD = EvidenceRow("p", {"web": 0.5, "gone": 0.5}, {"arc": 1.0}, RECIPE_OF_TODAY, "tok", "s", evaluation=2)


def chosen(*rows: EvidenceRow) -> CompatibleEvidence:
    return select_compatible(to_table(rows), WANTED)


def test_compatible_row_is_used() -> None:
    found = chosen(GOOD, replace(GOOD, proxy="q", evaluation=NOT_OURS, imported=True))
    assert found.usable.proxies == ("p", "q")
    assert found.left_out == {}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"recipe": {"layers": 3}}, RECIPE),
        ({"recipe": {"layers": 3}, "tokenizer": "other"}, RECIPE),
        ({"tokenizer": "other"}, TOKENIZER),
        ({"evaluation": 1}, EVALUATION),
        ({"bpb": {"other": 1.0}}, TASKS),
        ({"mixture": {"gone": 1.0}}, CONTENT),
    ],
)
def test_each_exclusion_reason_is_counted(change: dict[str, object], reason: str) -> None:
    found = chosen(GOOD, replace(GOOD, proxy="q", **change), replace(GOOD, proxy="r", **change))  # type: ignore[arg-type]
    assert found.usable.proxies == ("p",)
    assert found.left_out == {reason: 2}
    assert describe_exclusions(found.left_out) == f"2 ({reason})"


def test_only_current_measurements_of_a_proxy_count() -> None:
    old = replace(GOOD, evaluation=1, bpb={"arc": 9.0, "code": 9.0}, recorded=datetime(2020, 1, 1, tzinfo=UTC))
    found = chosen(old, GOOD)
    assert found.left_out == {}
    assert found.usable.problem(["gone", "web"], {}, ["arc"]).Y.tolist() == [[1.0]]
    assert found.usable.table["row"].to_pylist() == [GOOD.id]


def test_further_rows_of_a_compatible_proxy_are_included() -> None:
    later = replace(GOOD, bpb={"code": 0.5}, recorded=datetime(2100, 1, 1, tzinfo=UTC))
    found = chosen(GOOD, later, replace(GOOD, proxy="q", tokenizer="other"))
    assert sorted(found.usable.table["row"].to_pylist()) == sorted([GOOD.id, later.id])
    assert found.left_out == {TOKENIZER: 1}


def test_proxies_that_trained_on_text_of_their_tasks_are_left_out() -> None:
    text = TaskText({"arc": [Passages("web", "list")]}, lambda _: (1,), {"p": {}, "q": {"web": "list"}, "r": {}}.get)
    rows = [GOOD, replace(GOOD, proxy="q"), replace(GOOD, proxy="r", bpb={"code": 1.0})]
    found = select_compatible(to_table(rows), replace(WANTED, task_text=text))
    assert (found.usable.proxies, found.left_out) == (("q", "r"), {TASK_TEXT: 1})


def test_empty_ledger_has_no_exclusions() -> None:
    found = chosen()
    assert (len(found.usable), found.left_out) == (0, {})
