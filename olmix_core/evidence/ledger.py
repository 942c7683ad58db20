"""The ledger: all rows of evidence of a store, as parquet files that are only ever added.

    evidence/<digest of its rows>-<checksum>.parquet    rows that one writer appended
    evidence/sets/<digest of row ids>.parquet           a set of rows that a law was fitted to

Appending writes one new file, whole or not at all, named by its content: any number of writers need no lock, and a
writer that is killed leaves nothing that is read. A set pins the rows of a fit by their ids, so it stays the same while
the ledger grows, and wherever compaction moves the rows.

Compaction writes all rows to one file and then removes the files they came from. A file is removed only after all of
its rows were written and read back; a file that is appended meanwhile stays.
"""

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from olmix_core.errors import StoreError
from olmix_core.evidence.ledger_files import RECOVERY, ROWS_AT_ONCE, file_names, first_copies, read_file, write_file
from olmix_core.evidence.rows import SCHEMA, EvidenceRow, to_table
from olmix_core.identity import digest
from olmix_core.storage.layout import EVIDENCE_FOLDER, evidence_path, evidence_set_path
from olmix_core.storage.store import Store

READERS = 8  # files read at once; a remote store is mostly waited for


def append(store: Store, rows: Sequence[EvidenceRow]) -> str | None:
    """Add rows to the ledger as one new file, unless there is a file of exactly these rows.

    Args:
        store: The store.
        rows: The rows.

    Returns:
        Name of the file, or None if there are no rows.

    Raises:
        StoreError: The store cannot be written.
    """
    return append_table(store, to_table(rows))


def append_table(store: Store, table: pa.Table) -> str | None:
    """Add rows to the ledger as one new file, unless there is a file of exactly these rows.

    Args:
        store: The store.
        table: A table of `rows.SCHEMA`, each id once.

    Returns:
        Name of the file, or None if there are no rows.

    Raises:
        StoreError: The store cannot be written.
    """
    if not len(table):
        return None
    identity = digest(sorted(table["row"].to_pylist()))
    existing = [name for name in file_names(store) if name.startswith(identity)]
    return existing[0] if existing else write_file(store, identity, [table])


def read(store: Store, columns: Sequence[str] = SCHEMA.names, rows: Collection[str] | None = None) -> pa.Table:
    """Read the ledger.

    Args:
        store: The store.
        columns: Columns to read, besides `row` and `recorded`.
        rows: Ids of the rows to read, by default all.

    Returns:
        The rows in no particular order, each id once: the copy recorded first.

    Raises:
        StoreError: A file is damaged or cannot be read.
    """
    selected = [name for name in SCHEMA.names if name in {*columns, "row", "recorded"}]
    only = None if rows is None else frozenset(rows)
    by_file: dict[str, pa.Table] = {}
    while fresh := [name for name in file_names(store) if name not in by_file]:
        # Compaction may move rows meanwhile: whatever a listing or a reader missed is in a file of a later listing.
        with ThreadPoolExecutor(READERS) as pool:
            tables = pool.map(lambda name: read_file(store, name, selected, only=only), fresh)
        by_file |= {name: table for name, table in zip(fresh, tables, strict=True) if table is not None}
    table = pa.concat_tables([by_file[name] for name in sorted(by_file)] or [SCHEMA.empty_table().select(selected)])
    return table.filter(first_copies(table.select(["row", "recorded"])))


def check_file(store: Store, name: str) -> None:
    """Check a file of the ledger.

    Args:
        store: The store.
        name: Name of the file.

    Raises:
        StoreError: The file is not what was written.
    """
    read_file(store, name, SCHEMA.names)


def pin(store: Store, rows: Collection[str]) -> str:
    """Write the ids of a set of rows, so that exactly these can be read again.

    Args:
        store: The store.
        rows: Ids of the rows.

    Returns:
        Name of the set.

    Raises:
        StoreError: The store cannot be written.
    """
    name = set_name(rows)
    path = evidence_set_path(name)
    if not store.exists(path):
        with store.new_file(path) as temporary:
            pq.write_table(pa.table({"row": sorted(rows)}, schema=pa.schema([("row", pa.string())])), temporary)
    return name


def set_name(rows: Collection[str]) -> str:
    """Name a set of rows.

    Args:
        rows: Ids of the rows.

    Returns:
        Digest of the ids.
    """
    return digest(sorted(rows))


def pinned_rows(store: Store, name: str) -> pa.Array:
    """Read the ids of a set of rows.

    Args:
        store: The store.
        name: Name of the set.

    Returns:
        Ids of its rows.

    Raises:
        StoreError: The set is damaged, or there is none of this name.
    """
    path = evidence_set_path(name)
    try:
        ids = pq.ParquetFile(store.local_copy(path)).read()["row"].combine_chunks()
        if set_name(ids.to_pylist()) == name:
            return ids
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise StoreError(f"{store.place(path)}: cannot be read: {error}; {RECOVERY}") from error
    raise StoreError(f"{store.place(path)}: found other rows than were written; {RECOVERY}")


def pinned(store: Store, name: str, columns: Sequence[str] = SCHEMA.names) -> pa.Table:
    """Read the rows of a set.

    Args:
        store: The store.
        name: Name of the set.
        columns: As for `read`.

    Returns:
        The rows, as `read` returns them.

    Raises:
        StoreError: A row is no longer on record, or a file is damaged.
    """
    ids = pinned_rows(store, name)
    return _complete(store, name, ids, read(store, columns, ids.to_pylist()))


def of_set(store: Store, name: str, table: pa.Table) -> pa.Table:
    """Select the rows of a set from a table.

    Args:
        store: The store.
        name: Name of the set.
        table: Rows of the ledger.

    Returns:
        The rows of the set.

    Raises:
        StoreError: A row is missing in the table, or the set is damaged.
    """
    return _complete(store, name, pinned_rows(store, name), table)


def _complete(store: Store, name: str, ids: pa.Array, table: pa.Table) -> pa.Table:
    rows = table.filter(pc.is_in(table["row"], value_set=ids))
    if len(rows) < len(ids):
        raise StoreError(
            f"{store.url}/{EVIDENCE_FOLDER}: found {len(rows)} of the {len(ids)} rows of the set {name[:12]}; expected"
            f" all of them: files of the ledger were removed; {RECOVERY}"
        )
    return rows


@dataclass(frozen=True)
class Compaction:
    """The outcome of a compaction.

    Attributes:
        files: Number of files that were merged.
        rows: Number of different rows in them.
        copies: Number of further copies of rows in them, which were dropped.
    """

    files: int
    rows: int
    copies: int


def compact(store: Store) -> Compaction:
    """Merge all files of the ledger into one. Safe beside writers, readers and another compaction.

    Args:
        store: The store.

    Returns:
        What was merged.

    Raises:
        StoreError: The store cannot be read or written, or the new file does not hold all rows; no row is lost.
    """
    names = file_names(store)
    tables = {name: read_file(store, name, ["row", "recorded"]) for name in names}
    present = {name: table for name, table in tables.items() if table is not None}
    together = pa.concat_tables(list(present.values()) or [SCHEMA.empty_table().select(["row", "recorded"])])
    keep = first_copies(together)
    ids = together.filter(keep)["row"].to_pylist()
    if len(present) > 1:
        target = write_file(store, digest(sorted(ids)), _batches(store, present, keep))
        compacted = read_file(store, target, ["row"])
        if compacted is None or sorted(compacted["row"].to_pylist()) != sorted(ids):
            raise StoreError(
                f"{store.url}/{evidence_path(target)}: does not hold what was written; nothing was removed"
            )
        for name in present:
            if name != target:
                store.remove(evidence_path(name))
    return Compaction(len(present), len(ids), len(together) - len(ids))


def _batches(store: Store, files: dict[str, pa.Table], keep: pa.Array) -> Iterator[pa.Table]:
    """Yield the rows to keep of all files, some thousands at a time."""
    held: list[pa.Table] = []
    begin = 0
    for name, ids in files.items():
        table = read_file(store, name, SCHEMA.names, coded=False)
        if table is None or not table["row"].equals(ids["row"]):
            raise StoreError(
                f"{store.url}/{evidence_path(name)}: was removed meanwhile, by another compaction; nothing was lost"
            )
        held.append(table.filter(keep[begin : begin + len(table)]))
        begin += len(table)
        if sum(map(len, held)) >= ROWS_AT_ONCE:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)
