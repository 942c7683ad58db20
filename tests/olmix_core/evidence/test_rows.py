from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.evidence.rows import SCHEMA, EvidenceRow, from_table, recipe_key, to_table

WHEN = datetime(2026, 11, 1, 12, 30, 0, 250_000, tzinfo=UTC)
ROWS = [
    EvidenceRow(
        "p2", {"leaf-b": 0.25, "leaf-a": 0.75}, {"arc": 1.5, "code": 0.875}, {"layers": 2}, "tok", "s1", recorded=WHEN
    ),
    EvidenceRow(
        "p1", {"leaf-c": 1.0}, {"arc": 1.25}, {"layers": 2, "width": 64}, "tok", "s1", 1, "mix@v0001", recorded=WHEN
    ),
    EvidenceRow(
        "p3",
        {"leaf-a": 1 / 3, "leaf-c": 2 / 3},
        {"code": 0.1 + 0.2},
        {},
        "other",
        "import",
        imported=True,
        seed=7,
        tokens=10**12,
        seconds=0.5,
        labels={"leaf-a": "web"},
        recorded=WHEN,
    ),
]


numbers = st.dictionaries(st.text(max_size=5), st.floats(0, 1), min_size=1, max_size=5)
rows = st.lists(
    st.builds(
        EvidenceRow,
        proxy=st.text(max_size=8),
        mixture=numbers,
        bpb=numbers,
        recipe=st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5)),
        tokenizer=st.text(max_size=8),
        swarm=st.text(max_size=8),
        evaluation=st.integers(0, 9),
        source=st.text(max_size=8),
        imported=st.booleans(),
        seed=st.none() | st.integers(0, 2**32),
        tokens=st.none() | st.integers(0, 2**62),
        seconds=st.none() | st.floats(0, 1e9),
        labels=st.dictionaries(st.text(max_size=5), st.text(max_size=5)),
        recorded=st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    ),
    max_size=5,
    unique_by=lambda row: row.id,
)


@given(rows)
def test_rows_round_trip_through_a_table(said: list[EvidenceRow]) -> None:
    table = to_table(said)
    assert table.schema == SCHEMA
    assert from_table(table) == sorted(said, key=lambda row: (row.proxy, row.id))
    assert table["row"].to_pylist() == [row.id for row in from_table(table)]


def test_id_of_a_row_ignores_time_and_labels() -> None:
    row = ROWS[0]
    same = [
        replace(row, seconds=99.0),
        replace(row, labels={"leaf-a": "renamed"}),
        replace(row, recorded=datetime(2030, 1, 1, tzinfo=UTC)),
        replace(row, source="other@v0003"),
        replace(row, mixture=dict(reversed(list(row.mixture.items())))),
    ]
    assert {one.id for one in same} == {row.id}
    others = [
        replace(row, proxy="p9"),
        replace(row, mixture={"leaf-b": 0.25, "leaf-c": 0.75}),
        replace(row, bpb={**row.bpb, "arc": 1.6}),
        replace(row, bpb={"arc": 1.5}),
        replace(row, recipe={"layers": 3}),
        replace(row, tokenizer="other"),
        replace(row, swarm="s2"),
        replace(row, evaluation=2),
    ]
    assert len({row.id, *(one.id for one in others)}) == len(others) + 1


@pytest.mark.parametrize("other", [{"layers": 2, "width": 64}, {"width": 64, "layers": 2}])
def test_recipe_key_ignores_the_order_of_fields(other: dict[str, int]) -> None:
    assert recipe_key(other) == recipe_key(ROWS[1].recipe)
    assert recipe_key(other) != recipe_key({**other, "width": 65})


def test_duplicate_rows_are_written_once() -> None:
    assert len(to_table([ROWS[0], replace(ROWS[0], seconds=3.0)])) == 1
