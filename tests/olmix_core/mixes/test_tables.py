"""mix.csv, and tables whose labels look like numbers."""

import math

import pytest

from olmix_core.mixes.tables import TABLE_COLUMNS, LeafRow, make_table, read_labelled, read_table


def row(domain: str, weight: float, **changes: float) -> LeafRow:
    values = {"tokens": 100.0, "natural": 0.5, "sequences": 10.0, "cap": 1.0, "price": 0.2, "per_billion_tokens": 3.0}
    return LeafRow(domain=domain, weight=weight, at_cap=False, **{**values, **changes})


def test_rows_are_sorted_by_weight_and_then_by_label() -> None:
    table = make_table([row("b", 0.25), row("c", 0.5), row("a", 0.25)], sequence_length=20)
    assert list(table.columns) == list(TABLE_COLUMNS)
    assert list(table["domain"]) == ["c", "a", "b"]
    heaviest = table.iloc[0]
    assert (heaviest["ratio"], heaviest["epochs"]) == (1.0, 2.0)
    assert heaviest["shadow_price"] == pytest.approx(0.002)


@pytest.mark.parametrize("changes", [{"tokens": 0.0}, {"tokens": math.nan}, {"sequences": math.nan}])
def test_epochs_are_unknown_where_tokens_or_sequences_are(changes: dict[str, float]) -> None:
    assert math.isnan(make_table([row("a", 1.0, **changes)], sequence_length=20)["epochs"][0])


def test_a_ratio_needs_a_natural_weight() -> None:
    assert math.isnan(make_table([row("a", 1.0, natural=0.0)], sequence_length=20)["ratio"][0])


def test_labels_stay_text() -> None:
    table = make_table([row("NA", 0.75), row("1e5", 0.25)], sequence_length=20)
    read = read_table(table.to_csv(index=False).encode())
    assert list(read["domain"]) == ["NA", "1e5"]
    assert read["previous"].isna().all()
    assert list(read_labelled(b"task,mae\n007,\n", "task")["task"]) == ["007"]
