"""Files of the ledger: parquet files that are named by their content, written once and checked when they are read."""

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from olmix_core.errors import StoreError
from olmix_core.evidence.rows import SCHEMA
from olmix_core.storage.integrity import checksum
from olmix_core.storage.layout import EVIDENCE_FOLDER, evidence_path, ledger_files, results_folder
from olmix_core.storage.store import Store

CHECKED = 16  # hexadecimal digits of the checksum in a name
ROWS_AT_ONCE = 10_000  # in a row group; compaction holds as many in memory
# Fingerprints repeat in every row; dictionary-encoded they take a fraction of the memory. This requires that the
# dictionary of a row group fits into a page.
CODED = [f"{name}.key_value.key" for name in ("mixture", "bpb", "labels")]
RECOVERY = (
    f"restore it from a copy, or delete what is damaged and the folder {results_folder('evidence')}: a run then records"
    " anew what it measures, without training; what earlier versions measured is missing for all strategies but"
    " full_recompute"
)
WRITING = {"compression": "zstd", "dictionary_pagesize_limit": 1 << 28}


def write_file(store: Store, identity: str, tables: Iterable[pa.Table]) -> str:
    """Write a file.

    Args:
        store: The store.
        identity: Digest of the ids of its rows.
        tables: Its rows, in tables of `rows.SCHEMA`.

    Returns:
        Name of the file: `identity` and the checksum of its content.

    Raises:
        StoreError: The store cannot be written.
    """
    content = pa.BufferOutputStream()
    with pq.ParquetWriter(content, SCHEMA, **WRITING) as out:
        for table in tables:
            out.write_table(table, row_group_size=ROWS_AT_ONCE)
    written = content.getvalue().to_pybytes()
    name = f"{identity}-{checksum(written)[:CHECKED]}"
    store.write_bytes(evidence_path(name), written)
    return name


def file_names(store: Store) -> list[str]:
    """List the files. A file that a killed writer left has another kind of name.

    Args:
        store: The store.

    Returns:
        Names of the files.

    Raises:
        StoreError: The store cannot be listed.
    """
    return ledger_files(store.list(EVIDENCE_FOLDER))


def read_file(
    store: Store, name: str, columns: Sequence[str], coded: bool = True, only: frozenset[str] | None = None
) -> pa.Table | None:
    """Read a file and check it.

    Args:
        store: The store.
        name: Name of the file.
        columns: Columns to read.
        coded: Whether fingerprints are dictionary-encoded.
        only: Ids of the rows to read, by default all.

    Returns:
        The rows, or None for a file that compaction has removed.

    Raises:
        StoreError: The file is not what was written, or cannot be read.
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
        # Arrow reads dictionary-encoded maps only one row group at a time.
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
    # Arrow's is_in would build an index of `only` for every file.
    return pa.array([row in only for row in ids.to_pylist()], pa.bool_())


def first_copies(table: pa.Table) -> pa.Array:
    """Find the first row of each id, by time of record and then by place.

    Args:
        table: N rows with their columns `row` and `recorded`.

    Returns:
        Mask of the rows, shape [N].
    """
    order = pc.sort_indices(
        table.append_column("place", pa.array(range(len(table)))),
        sort_keys=[("row", "ascending"), ("recorded", "ascending"), ("place", "ascending")],
    ).to_numpy()
    ids = table["row"].combine_chunks().dictionary_encode().indices.to_numpy()[order]
    first = [True, *(ids[1:] != ids[:-1])] if len(ids) else []
    keep = ids.astype(bool)
    keep[order] = first
    return pa.array(keep)
