"""The ledger: every row of evidence of a store, as parquet files that are only ever added.

    evidence/<digest of its rows>-<checksum>.parquet    rows, by whoever appended them
    evidence/sets/<digest of row ids>.parquet           a set of rows that some law was fitted to

Appending writes one new file, whole or not at all, whose name is what it holds: any number of writers need no lock,
and one that is killed leaves nothing that is read. A set pins the exact rows of a fit by their ids, so that it stays
what it is while the ledger grows, and wherever compaction moves the rows.

Compaction puts all rows into one file and then removes the files they came from. A file is removed only by somebody
who has written and read back all of its rows; what is appended meanwhile is another file and stays.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from olmix_core.errors import StoreError
from olmix_core.evidence.rows import SCHEMA, EvidenceRow, to_table
from olmix_core.identity import digest
from olmix_core.storage.integrity import checksum
from olmix_core.storage.layout import EVIDENCE_FOLDER, evidence_path, evidence_set_path, ledger_files, results_folder
from olmix_core.storage.store import Store

CHECKED = 16  # hexadecimal digits of the checksum in a name
READERS = 8  # files read at once: mostly waiting, where the store is remote
ROWS_AT_ONCE = 10_000  # of a row group; held in memory by compaction
# Fingerprints repeat in every row; read as codes they take a fraction of the memory. For that, no row group's
# dictionary may outgrow its page.
CODED = [f"{name}.key_value.key" for name in ("mixture", "bpb", "labels")]
RECOVERY = (
    f"restore it from a copy, or delete what is damaged and the folder {results_folder('evidence')}: a run then records"
    " anew what it measures, without training; what earlier versions measured is missing for all strategies but"
    " full_recompute"
)
WRITING = {"compression": "zstd", "dictionary_pagesize_limit": 1 << 28}


def append(store: Store, rows: Sequence[EvidenceRow]) -> str | None:
    """Add rows to the ledger as one new file, unless a file of these very rows is there. Returns its name.

    None where there are no rows. Raises StoreError.
    """
    return append_table(store, to_table(rows))


def append_table(store: Store, table: pa.Table) -> str | None:
    """The same for rows that are a table of `evidence.SCHEMA` already, each id once."""
    if not len(table):
        return None
    said = digest(sorted(table["row"].to_pylist()))
    there = [name for name in _names(store) if name.startswith(said)]
    return there[0] if there else _write(store, said, [table])


def _write(store: Store, said: str, tables: Iterable[pa.Table]) -> str:
    """Write a file of the ledger and return its name: what its rows say, and the checksum of its content."""
    content = pa.BufferOutputStream()
    with pq.ParquetWriter(content, SCHEMA, **WRITING) as out:
        for table in tables:
            out.write_table(table, row_group_size=ROWS_AT_ONCE)
    written = content.getvalue().to_pybytes()
    name = f"{said}-{checksum(written)[:CHECKED]}"
    store.write_bytes(evidence_path(name), written)
    return name


def read(store: Store, columns: Sequence[str] = SCHEMA.names, rows: Collection[str] | None = None) -> pa.Table:
    """Every row on record, or those of some ids, each once (the copy recorded first), in no particular order.

    `columns` are those wanted; `row` and `recorded` are always among them. Raises StoreError for a damaged file.
    """
    wanted = [name for name in SCHEMA.names if name in {*columns, "row", "recorded"}]
    only = None if rows is None else frozenset(rows)
    found: dict[str, pa.Table] = {}
    while fresh := [name for name in _names(store) if name not in found]:
        # Compaction may move rows under way: whatever a listing or a reader missed is in a file of a later listing.
        with ThreadPoolExecutor(READERS) as pool:
            tables = pool.map(lambda name: _read_file(store, name, wanted, only=only), fresh)
        found |= {name: table for name, table in zip(fresh, tables, strict=True) if table is not None}
    table = pa.concat_tables([found[name] for name in sorted(found)] or [SCHEMA.empty_table().select(wanted)])
    return table.filter(_first_copies(table.select(["row", "recorded"])))


def check_file(store: Store, name: str) -> None:
    """Read the file `name` of the ledger. Raises StoreError where it is not what was written."""
    _read_file(store, name, SCHEMA.names)


def pin(store: Store, rows: Collection[str]) -> str:
    """Keep the ids of a set of rows, so that just these can be read again. Returns the name of the set."""
    name = set_name(rows)
    path = evidence_set_path(name)
    if not store.exists(path):
        with store.new_file(path) as temporary:
            pq.write_table(pa.table({"row": sorted(rows)}, schema=pa.schema([("row", pa.string())])), temporary)
    return name


def set_name(rows: Collection[str]) -> str:
    """The identity of a set of rows: that of what they say."""
    return digest(sorted(rows))


def pinned_rows(store: Store, name: str) -> pa.Array:
    """The ids of the rows of a set. Raises StoreError."""
    path = evidence_set_path(name)
    try:
        ids = pq.ParquetFile(store.local_copy(path)).read()["row"].combine_chunks()
        if set_name(ids.to_pylist()) == name:
            return ids
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise StoreError(f"{store.place(path)}: cannot be read: {error}; {RECOVERY}") from error
    raise StoreError(f"{store.place(path)}: found other rows than were written; {RECOVERY}")


def pinned(store: Store, name: str, columns: Sequence[str] = SCHEMA.names) -> pa.Table:
    """The rows of a set, as `read` gives them. Raises StoreError where one of them is no longer on record."""
    ids = pinned_rows(store, name)
    return _complete(store, name, ids, read(store, columns, ids.to_pylist()))


def of_set(store: Store, name: str, table: pa.Table) -> pa.Table:
    """The rows of a set out of what was read already. Raises StoreError where one is missing."""
    return _complete(store, name, pinned_rows(store, name), table)


def _complete(store: Store, name: str, ids: pa.Array, table: pa.Table) -> pa.Table:
    found = table.filter(pc.is_in(table["row"], value_set=ids))
    if len(found) < len(ids):
        raise StoreError(
            f"{store.url}/{EVIDENCE_FOLDER}: found {len(found)} of the {len(ids)} rows of the set {name[:12]}; expected"
            f" all of them: files of the ledger were removed; {RECOVERY}"
        )
    return found


@dataclass(frozen=True)
class Compaction:
    """What compaction did: `files` were put together, holding `rows` different rows, of which `copies` copies."""

    files: int
    rows: int
    copies: int


def compact(store: Store) -> Compaction:
    """Put all files of the ledger into one. Safe beside writers, readers and another compaction; loses nothing.

    Raises StoreError.
    """
    names = _names(store)
    tables = {name: _read_file(store, name, ["row", "recorded"]) for name in names}
    there = {name: table for name, table in tables.items() if table is not None}
    together = pa.concat_tables(list(there.values()) or [SCHEMA.empty_table().select(["row", "recorded"])])
    keep = _first_copies(together)
    ids = together.filter(keep)["row"].to_pylist()
    if len(there) > 1:
        target = _write(store, digest(sorted(ids)), _batches(store, there, keep))
        written = _read_file(store, target, ["row"])
        if written is None or sorted(written["row"].to_pylist()) != sorted(ids):
            raise StoreError(
                f"{store.url}/{evidence_path(target)}: does not hold what was written; nothing was removed"
            )
        for name in there:
            if name != target:
                store.remove(evidence_path(name))
    return Compaction(len(there), len(ids), len(together) - len(ids))


def _batches(store: Store, files: dict[str, pa.Table], keep: pa.Array) -> Iterator[pa.Table]:
    """The rows to keep, of all files, some thousands at a time."""
    held: list[pa.Table] = []
    begin = 0
    for name, known in files.items():
        table = _read_file(store, name, SCHEMA.names, coded=False)
        if table is None or not table["row"].equals(known["row"]):
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


def _names(store: Store) -> list[str]:
    """The files of the ledger; what a killed writer left has another kind of name."""
    return ledger_files(store.list(EVIDENCE_FOLDER))


def _read_file(
    store: Store, name: str, columns: Sequence[str], coded: bool = True, only: frozenset[str] | None = None
) -> pa.Table | None:
    """One file, or those of its rows whose ids are in `only`; None where it is gone, which only compaction does.

    Raises StoreError.
    """
    path = evidence_path(name)
    try:
        if evidence_path.match(path) is None:
            raise StoreError(
                f"{store.place(path)}: found a file that no run wrote; expected evidence as docs/store.md describes it:"
                " move it away"
            )
        content = store.local_copy(path).read_bytes()
        if checksum(content)[:CHECKED] != name.rpartition("-")[2]:
            raise StoreError(f"{store.place(path)}: found another content than was written; {RECOVERY}")
        file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=CODED if coded else None)
        # Arrow reads maps of codes one row group at a time.
        groups = [file.read_row_group(group, list(columns)) for group in range(file.num_row_groups)]
        if only is not None:
            groups = [group.filter(_among(group["row"], only)) for group in groups]
        table = pa.concat_tables(groups) if groups else file.read(list(columns))
        table.validate(full=True)
        if table.schema.names != [name for name in SCHEMA.names if name in columns]:
            raise pa.ArrowInvalid(f"it has the columns {', '.join(table.schema.names)}")
        return table
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise StoreError(f"{store.place(path)}: cannot be read: {error}; {RECOVERY}") from error


def _among(ids: pa.ChunkedArray, only: frozenset[str]) -> pa.Array:
    # Arrow's own is_in would index all of `only` anew for every file.
    return pa.array([row in only for row in ids.to_pylist()], pa.bool_())


def _first_copies(table: pa.Table) -> pa.Array:
    """[N] whether a row is the first of its id, by time of record and then by place."""
    order = pc.sort_indices(
        table.append_column("place", pa.array(range(len(table)))),
        sort_keys=[("row", "ascending"), ("recorded", "ascending"), ("place", "ascending")],
    ).to_numpy()
    ids = table["row"].combine_chunks().dictionary_encode().indices.to_numpy()[order]
    first = [True, *(ids[1:] != ids[:-1])] if len(ids) else []
    keep = ids.astype(bool)
    keep[order] = first
    return pa.array(keep)
