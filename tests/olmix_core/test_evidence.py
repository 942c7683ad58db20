from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.errors import StoreError
from olmix_core.evidence import Row, as_arrays, evidence_id, read_rows, write_rows
from olmix_core.store import Store

ROWS = [
    Row("p2", {"leaf-b": 0.25, "leaf-a": 0.75}, {"arc": 1.5, "code": 0.875}, {"layers": 2}, "tok", 4096, 1.25),
    Row("p1", {"leaf-c": 1.0}, {"arc": 1.25}, {"layers": 2, "width": 64}, "tok", 4096, 2.5),
    Row("p3", {"leaf-a": 1 / 3, "leaf-c": 2 / 3}, {"code": 0.1 + 0.2}, {}, "other", 10**12, 0.0),
]


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}")


def test_what_is_on_record_is_read_back_exactly(store: Store) -> None:
    name = write_rows(store, ROWS)
    assert store.list("evidence") == [f"{name}.parquet"]
    assert read_rows(store, name) == sorted(ROWS, key=lambda row: row.proxy)


weights = st.dictionaries(st.text(max_size=5), st.floats(0, 1), min_size=1, max_size=5)
rows = st.lists(
    st.builds(
        Row,
        proxy=st.text(max_size=8),
        mixture=weights,
        bpb=weights,
        recipe=st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5)),
        tokenizer=st.text(max_size=8),
        tokens=st.integers(0, 2**62),
        seconds=st.floats(0, 1e9),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda row: row.proxy,
)


@given(rows)
def test_whatever_the_rows_say(tmp_path_factory: pytest.TempPathFactory, said: list[Row]) -> None:
    store = Store(str(tmp_path_factory.getbasetemp() / "evidence-store"))
    assert read_rows(store, write_rows(store, said)) == sorted(said, key=lambda row: row.proxy)


@given(st.permutations(ROWS))
def test_the_order_of_rows_and_names_is_no_part_of_the_id(shuffled: list[Row]) -> None:
    turned = [replace(row, mixture=dict(reversed(row.mixture.items()))) for row in shuffled]
    assert evidence_id(turned) == evidence_id(ROWS)


def test_how_long_training_took_is_no_part_of_the_id() -> None:
    assert evidence_id([replace(row, seconds=99.0) for row in ROWS]) == evidence_id(ROWS)


def test_what_the_rows_say_is_the_id() -> None:
    first, *others = ROWS
    said = [
        ROWS,
        others,
        [replace(first, proxy="p9"), *others],
        [replace(first, mixture={"leaf-b": 0.25, "leaf-c": 0.75}), *others],
        [replace(first, bpb={**first.bpb, "arc": 1.6}), *others],
        [replace(first, bpb={"arc": 1.5}), *others],
    ]
    assert len({evidence_id(one) for one in said}) == len(said)


def test_the_same_rows_are_written_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    name = write_rows(store, ROWS)
    before = store.read_bytes(f"evidence/{name}.parquet")
    monkeypatch.setattr("pyarrow.parquet.write_table", lambda *_: pytest.fail("written again"))
    assert write_rows(store, [replace(row, seconds=7.0) for row in ROWS[::-1]]) == name
    assert store.read_bytes(f"evidence/{name}.parquet") == before


def test_damage_is_named(store: Store) -> None:
    name = write_rows(store, ROWS)
    store.write_bytes(f"evidence/{name}.parquet", b"PAR1 and nothing else")
    with pytest.raises(StoreError, match=rf"{name}\.parquet: cannot be read: .*; delete it and run again"):
        read_rows(store, name)
    with pytest.raises(StoreError, match=r"none\.parquet: cannot be read"):
        read_rows(store, "none")


# Arrays


def test_arrays_are_aligned_by_name() -> None:
    x, y = as_arrays(ROWS, ["leaf-c", "leaf-a", "leaf-b"], ["code", "arc"])
    assert x.tolist() == [[0, 0.75, 0.25], [1, 0, 0], [2 / 3, 1 / 3, 0]]
    np.testing.assert_array_equal(y, [[0.875, 1.5], [np.nan, 1.25], [0.1 + 0.2, np.nan]])
    assert x.dtype == y.dtype == np.float64


@given(st.permutations(["leaf-a", "leaf-b", "leaf-c"]), st.permutations(["arc", "code"]), st.permutations(range(3)))
def test_names_decide_and_not_places(leaves: list[str], tasks: list[str], order: list[int]) -> None:
    x, y = as_arrays([ROWS[i] for i in order], leaves, tasks)
    for row, i in enumerate(order):
        assert dict(zip(leaves, x[row], strict=True)) == {leaf: ROWS[i].mixture.get(leaf, 0.0) for leaf in leaves}
        for task, bpb in zip(tasks, y[row], strict=True):
            np.testing.assert_equal(bpb, ROWS[i].bpb.get(task, np.nan))


def test_a_leaf_that_no_row_has_is_a_column_of_zeros() -> None:
    x, y = as_arrays(ROWS, ["leaf-a", "leaf-new"], ["new"])
    assert x[:, 1].tolist() == [0, 0, 0]
    assert np.isnan(y).all()
    assert as_arrays([], ["a", "b"], ["t"])[0].shape == (0, 2)
