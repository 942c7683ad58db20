"""The ledger: appended by many, read by many, compacted meanwhile, and nothing is lost."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from olmix_core.errors import StoreError
from olmix_core.evidence import ledger, ledger_files
from olmix_core.evidence.ledger import append, compact, pin, pinned, read
from olmix_core.evidence.rows import SCHEMA, EvidenceRow, from_table
from olmix_core.storage import local_cache as copies
from olmix_core.storage.integrity import checksum
from olmix_core.storage.layout import evidence_set_path
from olmix_core.storage.store import Store
from tests.support.evidence_rows import row


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}")


def said(store: Store) -> list[EvidenceRow]:
    return sorted(from_table(read(store)), key=lambda one: (one.proxy, one.id))


def files(store: Store) -> list[str]:
    return [name for name in store.list("evidence") if name.endswith(".parquet")]


def test_appended_rows_are_read_back_exactly(store: Store) -> None:
    rows = [row(number) for number in range(5)]
    append(store, rows[:3])
    append(store, rows[3:])
    assert said(store) == rows
    assert len(files(store)) == 2
    assert append(store, []) is None
    assert len(read(Store(f"{store.url}-none"))) == 0


def test_appending_the_same_rows_again_writes_nothing(store: Store) -> None:
    rows = [row(number) for number in range(3)]
    name = append(store, rows)
    before = store.read_bytes(f"evidence/{name}.parquet")
    assert append(store, [replace(one, seconds=7.0) for one in rows[::-1]]) == name
    assert store.read_bytes(f"evidence/{name}.parquet") == before
    assert files(store) == [f"{name}.parquet"]


def test_row_in_several_files_is_read_once(store: Store) -> None:
    append(store, [row(1), row(2)])
    append(store, [row(2), row(3)])
    assert [one.proxy for one in said(store)] == ["p00001", "p00002", "p00003"]


def test_only_requested_columns_are_read(store: Store) -> None:
    append(store, [row(1)])
    assert read(store, ["proxy"]).column_names == ["row", "proxy", "recorded"]


WRITER = """
import os, pathlib, signal, sys
from olmix_core.evidence.rows import EvidenceRow
from olmix_core.evidence.ledger import append
from olmix_core.storage.store import Store

folder, begin, end, size = sys.argv[1], *map(int, sys.argv[2:5])

def row(number):
    return EvidenceRow(f"p{number:05d}", {"a": 0.25, "b": 0.75}, {"t": 1 + number / 1000}, {"layers": 2}, "tok", "s", 1)

if "killed" in sys.argv:
    # Once its file is filled, and before the file appears under its name.
    pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
print("ready", flush=True)
sys.stdin.readline()
for first in range(begin, end, size):
    append(Store(folder), [row(number) for number in range(first, first + size)])
"""


def writer(folder: Path, begin: int, end: int, size: int, *how: str) -> "subprocess.Popen[str]":
    """A process that appends the rows from `begin` up to `end`, `size` at a time, once it is told to go on."""
    arguments = [str(folder), str(begin), str(end), str(size), *how]
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go_on(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_unfinished_file_of_a_killed_writer_is_not_read(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    append(store, [row(1)])
    killed = writer(tmp_path, 0, 200, 200, "killed")
    killed.communicate("\n", timeout=60)
    assert killed.returncode == -signal.SIGKILL
    [left] = [path for path in (tmp_path / "evidence").iterdir() if path.name.startswith(".new-")]
    assert left.stat().st_size > 1000
    assert [one.proxy for one in said(store)] == ["p00001"]
    append(store, [row(2)])
    assert compact(store).rows == 2


@pytest.mark.parametrize("size", [1, 200])
def test_concurrent_appends_and_compaction_lose_no_row(tmp_path: Path, size: int) -> None:
    store, seen, compactions = Store(str(tmp_path)), 0, 0
    writers = [writer(tmp_path, begin, begin + 200, size) for begin in (0, 200)]
    for process in writers:
        go_on(process)
    while any(process.poll() is None for process in writers):
        compactions += compact(store).files > 1
        found = len(read(store, ["row"]))
        assert found >= seen, "rows that were there are gone"
        seen = found
    for process in writers:
        process.communicate()
    assert [process.returncode for process in writers] == [0, 0]
    assert compactions or size == 200
    everything = [f"p{number:05d}" for number in range(400)]
    assert [one.proxy for one in said(store)] == everything
    compact(store)
    assert [one.proxy for one in said(store)] == everything
    assert len(files(store)) == 1


def test_reader_beside_compactions_sees_all_rows(tmp_path: Path) -> None:
    store, wrong = Store(str(tmp_path)), []
    for number in range(60):
        append(store, [row(number)])
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            found = len(read(store, ["row"]))
            if found < 60:
                wrong.append(found)

    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(60, 75):
        append(store, [row(number)])
        compact(store)
        time.sleep(0.01)
    over.set()
    for reader in readers:
        reader.join()
    assert not wrong


def test_files_with_different_dictionaries_concatenate(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    append(store, [replace(row(1), labels={"a": "web", "b": "wiki"})])
    append(store, [replace(row(2), mixture={"c": 0.5, "a": 0.5}, bpb={"u": 1.0}, labels={"c": "code"})])
    table = read(store).sort_by([("proxy", "descending")])
    assert [one.proxy for one in from_table(table)] == ["p00002", "p00001"]
    pq.write_table(table, tmp_path / "out.parquet")
    assert from_table(pq.read_table(tmp_path / "out.parquet", schema=SCHEMA)) == from_table(table)


def test_compaction_reports_counts_and_is_idempotent(store: Store) -> None:
    append(store, [row(1), row(2)])
    append(store, [row(2), row(3)])
    pin(store, [row(1).id])
    assert compact(store) == ledger.Compaction(files=2, rows=3, copies=1)
    assert compact(store) == ledger.Compaction(files=1, rows=3, copies=0)
    assert compact(Store(f"{store.url}-none")) == ledger.Compaction(0, 0, 0)
    assert len(files(store)) == 1
    assert len(pinned(store, ledger.set_name([row(1).id]))) == 1


def test_compaction_killed_before_removal_leaves_only_copies(store: Store) -> None:
    append(store, [row(1)])
    append(store, [row(2)])
    append(store, [row(1), row(2)])  # as compaction would have written it
    assert len(said(store)) == 2
    assert compact(store).rows == 2
    assert len(files(store)) == 1


def test_set_of_rows_survives_growth_and_compaction(store: Store) -> None:
    append(store, [row(1), row(2), row(3)])
    chosen = [row(3).id, row(1).id]
    name = pin(store, chosen)
    append(store, [row(number) for number in range(4, 9)])
    for _ in range(2):
        assert sorted(pinned(store, name)["row"].to_pylist()) == sorted(chosen)
        compact(store)
    assert pin(store, chosen[::-1]) == name


def test_missing_rows_of_a_set_are_reported(store: Store) -> None:
    name = append(store, [row(1), row(2)])
    append(store, [row(3)])
    of_all = pin(store, [row(number).id for number in (1, 2, 3)])
    store.remove(f"evidence/{name}.parquet")
    with pytest.raises(StoreError, match=r"found 1 of the 3 rows of the set .*; expected all of them.*restore it"):
        pinned(store, of_all)
    with pytest.raises(StoreError, match=r"sets/none\.parquet: cannot be read"):
        pinned(store, "none")


def test_of_set_selects_the_rows_of_a_set(store: Store) -> None:
    append(store, [row(1), row(2), row(3)])
    chosen = [row(3).id, row(1).id]
    name, table = pin(store, chosen), read(store, ["proxy"])
    found = ledger.of_set(store, name, table)
    assert sorted(found["row"].to_pylist()) == sorted(chosen)
    assert sorted(found["proxy"].to_pylist()) == ["p00001", "p00003"]
    with pytest.raises(StoreError, match=rf"evidence: found 1 of the 2 rows of the set {name[:12]}; expected all"):
        ledger.of_set(store, name, table.slice(0, 1))


def test_pinned_reads_only_needed_columns_and_rows(store: Store) -> None:
    append(store, [row(1), row(2)])
    name = pin(store, [row(2).id])
    assert pinned(store, name, ["proxy"]).column_names == ["row", "proxy", "recorded"]
    assert len(read(store, rows=[row(2).id, "of-no-row"])) == 1
    assert len(read(store, rows=[])) == 0


def test_set_with_other_ids_is_reported(store: Store) -> None:
    append(store, [row(1), row(2)])
    name, other = pin(store, [row(1).id]), pin(store, [row(2).id])
    assert name != other
    store.write_bytes(evidence_set_path(name), store.read_bytes(evidence_set_path(other)))
    with pytest.raises(StoreError, match=rf"sets/{name}\.parquet: found other rows than were written; restore it"):
        ledger.pinned_rows(store, name)


def test_empty_set_can_be_read(store: Store) -> None:
    append(store, [row(1)])
    assert len(pinned(store, pin(store, []))) == 0


def test_check_file_detects_damage_and_foreign_files(store: Store) -> None:
    name = append(store, [row(1)])
    assert name is not None
    ledger.check_file(store, name)
    store.write_bytes(f"evidence/{name}.parquet", b"PAR1")
    copies.forget(store.place(f"evidence/{name}.parquet"))
    with pytest.raises(StoreError, match=rf"{name}\.parquet: found another content"):
        ledger.check_file(store, name)
    # Written with its checksum by somebody else, with other columns.
    with store.new_file("aside") as temporary:
        pq.write_table(read(Store(f"{store.url}-none")).drop_columns(["seed"]), temporary)
    content = store.read_bytes("aside")
    foreign = f"{'0' * 64}-{checksum(content)[:16]}"
    store.write_bytes(f"evidence/{foreign}.parquet", content)
    words = rf"evidence/{foreign}\.parquet: cannot be read: it has the columns row, .*; restore it from a copy"
    with pytest.raises(StoreError, match=words):
        ledger.check_file(store, foreign)


def test_other_files_in_the_folder_are_ignored(store: Store) -> None:
    name = append(store, [row(1)])
    for other in (".new-x.parquet", "notes.txt"):
        store.write_bytes(f"evidence/{other}", b"x")
    assert [one.proxy for one in said(store)] == ["p00001"]
    assert compact(store).files == 1
    assert files(store) == [".new-x.parquet", f"{name}.parquet"]


def test_compaction_beside_another_one_loses_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other ends between the look at the files and their being read whole."""
    store = Store(str(tmp_path))
    names = [append(store, [row(number)]) for number in (1, 2)]
    read_file = ledger_files.read_file

    def late(store: Store, name: str, columns: Sequence[str], **settings: Any) -> pa.Table | None:
        if columns == SCHEMA.names:
            monkeypatch.setattr(ledger, "read_file", read_file)
            compact(store)
        return read_file(store, name, columns, **settings)

    monkeypatch.setattr(ledger, "read_file", late)
    with pytest.raises(StoreError, match=rf"evidence/({names[0]}|{names[1]})\.parquet: was removed meanwhile"):
        compact(store)
    assert [one.proxy for one in said(store)] == ["p00001", "p00002"]


def test_compaction_removes_nothing_that_it_cannot_read_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    names = sorted(str(append(store, [row(number)])) for number in (1, 2))
    write = ledger_files.write_file

    def lossy(store: Store, said: str, tables: Iterable[pa.Table]) -> str:
        return write(store, said, [table.slice(0, 1) for table in tables])

    monkeypatch.setattr(ledger, "write_file", lossy)
    with pytest.raises(StoreError, match=r"evidence/\w+-\w+\.parquet: does not hold what was written; nothing was"):
        compact(store)
    assert set(names) <= {name.removesuffix(".parquet") for name in files(store)}


def test_compaction_works_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(ledger_files, "ROWS_AT_ONCE", 3)
    store = Store(str(tmp_path))
    for first in range(0, 12, 2):
        append(store, [row(first), row(first + 1)])
    compact(store)
    [file] = files(store)
    held = pq.ParquetFile(tmp_path / "evidence" / file)
    assert [held.metadata.row_group(group).num_rows for group in range(held.num_row_groups)] == [3, 1, 3, 1, 3, 1]
    assert [one.proxy for one in said(store)] == [f"p{number:05d}" for number in range(12)]
    assert len(read(store, rows=[row(7).id, row(11).id])) == 2
    assert held.metadata.row_group(0).column(0).compression == "ZSTD"


def test_damaged_and_foreign_files_are_reported(store: Store) -> None:
    name = append(store, [row(1)])
    damaged = f"evidence/{'0' * 64}-{'0' * 16}.parquet"
    store.write_bytes(damaged, b"PAR1 and nothing else")
    with pytest.raises(StoreError, match=r"0000\.parquet: found another content than was written; restore it from a"):
        read(store)
    with pytest.raises(StoreError, match=r"0000\.parquet: found another content"):
        compact(store)
    store.remove(damaged)
    assert files(store) == [f"{name}.parquet"]


def test_file_with_a_foreign_name_is_reported(store: Store) -> None:
    with store.new_file("evidence/old.parquet") as temporary:
        pq.write_table(pa.table({"proxy": ["p"]}), temporary)
    with pytest.raises(StoreError, match=r"old\.parquet: found a file that no run wrote; expected .*: move it away"):
        read(store)
