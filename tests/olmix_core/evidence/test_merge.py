"""Rows merged by proxy, and the regression problem made of them."""

import resource
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bench_ledger import LEAVES, TASKS
from benchmarks.bench_ledger import rows as ledger_rows
from olmix_core.errors import FitError
from olmix_core.evidence import ledger
from olmix_core.evidence.merge import MergedEvidence, merge
from olmix_core.evidence.rows import EvidenceRow, to_table
from olmix_core.storage.store import Store
from tests.support.properties import tries


def at(day: int) -> datetime:
    return datetime(2026, 1, day, tzinfo=UTC)


def row(proxy: str, mixture: dict[str, float], bpb: dict[str, float], day: int = 1, swarm: str = "s") -> EvidenceRow:
    return EvidenceRow(proxy, mixture, bpb, {}, "tok", swarm, 1, recorded=at(day))


ROWS = [
    row("p2", {"b": 0.25, "a": 0.75}, {"arc": 1.5, "code": 0.875}),
    row("p1", {"c": 1.0}, {"arc": 1.25}),
    row("p3", {"a": 1 / 3, "c": 2 / 3}, {"code": 0.1 + 0.2}, swarm="t"),
]


def of(*rows: EvidenceRow) -> MergedEvidence:
    return merge(to_table(rows))


def test_problem_is_aligned_by_name() -> None:
    merged = of(*ROWS)
    assert (merged.proxies, merged.swarms) == (("p1", "p2", "p3"), ("s", "s", "t"))
    evidence = merged.problem(["c", "a", "b"], {}, ["code", "arc"])
    assert evidence.runs == ("p1", "p2", "p3")
    assert evidence.X.tolist() == [[1, 0, 0], [0, 0.75, 0.25], [2 / 3, 1 / 3, 0]]
    np.testing.assert_array_equal(evidence.Y, [[np.nan, 1.25], [0.875, 1.5], [0.1 + 0.2, np.nan]])


def test_problem_follows_splits_of_splits() -> None:
    splits = {"a": {"a1": 0.5, "a2": 0.5}, "a2": {"x": 0.25, "y": 0.75}}
    evidence = of(*ROWS).problem(["a1", "b", "c", "x", "y"], splits, ["arc", "code"])
    assert evidence.X[1].tolist() == [0.375, 0.25, 0, 0.375 * 0.25, 0.375 * 0.75]


def test_proxy_measured_on_further_tasks_is_one_run() -> None:
    later = row("p1", {"c": 1.0}, {"code": 0.5}, day=2, swarm="later")
    merged = of(*ROWS, later)
    evidence = merged.problem(["a", "b", "c"], {}, ["arc", "code"])
    assert evidence.Y[0].tolist() == [1.25, 0.5]
    assert merged.swarms[0] == "s"
    assert merged.used.all()


def test_first_recorded_measurement_counts() -> None:
    again = row("p1", {"c": 1.0}, {"arc": 9.0}, day=2)
    merged = of(*ROWS, again)
    assert merged.problem(["a", "b", "c"], {}, ["arc"]).Y[0] == 1.25
    unused = merged.table.filter(pa.array(~merged.used))["row"].to_pylist()
    assert unused == [again.id]


def test_proxy_without_any_of_the_tasks_is_left_out() -> None:
    assert of(*ROWS).problem(["a", "b", "c"], {}, ["arc"]).runs == ("p1", "p2")
    with pytest.raises(FitError, match="evidence is empty"):
        of(*ROWS).problem(["a", "b", "c"], {}, ["other"])


def test_no_rows_give_no_runs() -> None:
    merged = of()
    assert (len(merged), merged.contents(), merged.bpb.names) == (0, frozenset(), ())


def test_rows_selects_the_rows_of_some_proxies() -> None:
    merged = of(*ROWS)
    assert sorted(merged.rows(np.array([True, False, True]))["proxy"].to_pylist()) == ["p1", "p3"]
    assert merged.contents() == {"a", "b", "c"}


@given(
    st.lists(
        st.builds(
            row,
            proxy=st.sampled_from(["p1", "p2", "p3"]),
            mixture=st.just({"a": 0.5, "b": 0.5}),
            bpb=st.dictionaries(st.sampled_from(["t1", "t2", "t3"]), st.floats(0.1, 3), min_size=1),
            day=st.integers(1, 5),
        ),
        min_size=1,
        max_size=8,
    ),
    st.randoms(),
    st.integers(1, 8),
)
def test_merge_does_not_depend_on_order_or_files(rows: list[EvidenceRow], random: object, cut: int) -> None:
    """Shuffled and cut into chunks, the same rows say the same; and it is what one by one would give."""
    table = to_table(rows)
    shuffled = list(range(len(table)))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    mixed = table.take(pa.array(shuffled))
    mixed = pa.concat_tables([mixed.slice(0, cut), mixed.slice(cut)])
    merged, other = merge(table), merge(mixed)
    tasks = sorted(merged.bpb.names)
    evidence, of_other = (one.problem(["a", "b"], {}, tasks) for one in (merged, other))
    np.testing.assert_array_equal(evidence.Y, of_other.Y)
    np.testing.assert_array_equal(evidence.X, of_other.X)
    expected: dict[tuple[str, str], float] = {}
    for one in sorted({one.id: one for one in rows}.values(), key=lambda one: (one.recorded, one.id)):
        for task, bpb in one.bpb.items():
            expected.setdefault((one.proxy, task), bpb)
    for k, proxy in enumerate(evidence.runs):
        for t, task in enumerate(tasks):
            np.testing.assert_equal(evidence.Y[k, t], expected.get((proxy, task), np.nan))


@pytest.mark.scaled
def test_many_rows_give_a_problem_of_the_right_size(tmp_path: Path) -> None:
    """Under the profile ci as many as docs/evidence.md says; `make bench-ledger` prints how long it takes."""
    store, rows = Store(str(tmp_path)), tries(5_000, 25_000)
    tables = [ledger_rows(rows, number) for number in range(4)]
    for table in tables:
        ledger.append_table(store, table)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    merged = merge(ledger.read(store, ["row", "proxy", "mixture", "bpb", "swarm", "recorded"]))
    evidence = merged.problem(sorted(merged.contents()), {}, sorted(merged.bpb.names))
    assert evidence.X.shape == (4 * rows, LEAVES)
    assert evidence.Y.shape == (4 * rows, TASKS)
    assert not np.isnan(evidence.Y).any()
    sample = {record["proxy"]: record for record in tables[2].slice(17, 3).to_pylist()}
    for proxy, record in sample.items():
        k = evidence.runs.index(proxy)
        assert dict(record["mixture"]) == dict(zip(evidence.leaves, evidence.X[k].tolist(), strict=True))
        assert dict(record["bpb"]) == dict(zip(evidence.tasks, evidence.Y[k].tolist(), strict=True))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < 2e9
    assert time.monotonic() - started < 120  # seconds where it should be: a loop over cells takes minutes


def test_problem_requires_the_atoms_of_split_leaves() -> None:
    with pytest.raises(KeyError):
        of(replace(ROWS[0])).problem(["a"], {}, ["arc"])
