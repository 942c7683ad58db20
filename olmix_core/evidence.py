"""Evidence: what every evaluated proxy is a witness of, for ever.

A row says {content: weight}, {task: BPB}, and with which recipe. It stays true when domains are renamed, reordered,
added, removed or split, since it speaks of content. Rows are written once, as parquet files in the store's evidence/
that are named by what they hold and never rewritten.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from olmix_core.errors import StoreError
from olmix_core.fingerprint import digest
from olmix_core.mixture import Vector
from olmix_core.store import Store

MIXTURE = pa.map_(pa.string(), pa.float64())
SCHEMA = pa.schema(
    [
        ("proxy", pa.string()),  # key of the proxy
        ("mixture", MIXTURE),  # content fingerprint of a leaf -> weight, zeros left out
        ("bpb", MIXTURE),  # fingerprint of a task -> BPB
        ("recipe", pa.string()),  # JSON
        ("tokenizer", pa.string()),  # fingerprint
        ("tokens", pa.int64()),
        ("seconds", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Row:
    """One evaluated proxy."""

    proxy: str
    mixture: Mapping[str, float]
    bpb: Mapping[str, float]
    recipe: Mapping[str, Any]
    tokenizer: str
    tokens: int
    seconds: float


def evidence_id(rows: Sequence[Row]) -> str:
    """What the rows say, as one digest; their order and how long training took are no part of it."""
    return digest(
        [
            {"proxy": row.proxy, "mixture": dict(row.mixture), "bpb": dict(row.bpb)}
            for row in sorted(rows, key=lambda row: row.proxy)
        ]
    )


def write_rows(store: Store, rows: Sequence[Row]) -> str:
    """Write the rows as one parquet file, unless it is there already. Returns their `evidence_id`."""
    name = evidence_id(rows)
    path = f"evidence/{name}.parquet"
    if not store.exists(path):
        ordered = sorted(rows, key=lambda row: row.proxy)
        columns = {
            "proxy": [row.proxy for row in ordered],
            "mixture": [sorted(row.mixture.items()) for row in ordered],
            "bpb": [sorted(row.bpb.items()) for row in ordered],
            "recipe": [json.dumps(dict(row.recipe), sort_keys=True) for row in ordered],
            "tokenizer": [row.tokenizer for row in ordered],
            "tokens": [row.tokens for row in ordered],
            "seconds": [row.seconds for row in ordered],
        }
        with store.new_file(path) as temporary:
            pq.write_table(pa.table(columns, schema=SCHEMA), temporary)
    return name


def read_rows(store: Store, name: str) -> list[Row]:
    """The rows of one file. Raises StoreError."""
    path = f"evidence/{name}.parquet"
    try:
        table = pq.read_table(store.local_copy(path))
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            f"{store.url}/{path}: cannot be read: {error}; delete it and run again to write it anew"
        ) from error
    return [
        Row(
            proxy=record["proxy"],
            mixture=dict(record["mixture"]),
            bpb=dict(record["bpb"]),
            recipe=json.loads(record["recipe"]),
            tokenizer=record["tokenizer"],
            tokens=record["tokens"],
            seconds=record["seconds"],
        )
        for record in table.to_pylist()
    ]


def as_arrays(rows: Sequence[Row], leaves: Sequence[str], tasks: Sequence[str]) -> tuple[Vector, Vector]:
    """X [K, m] weights and Y [K, T] BPB, aligned by name; a task that a row lacks is NaN."""
    x = pd.DataFrame([dict(row.mixture) for row in rows]).reindex(columns=list(leaves)).fillna(0.0)
    y = pd.DataFrame([dict(row.bpb) for row in rows]).reindex(columns=list(tasks))
    return x.to_numpy(np.float64), y.to_numpy(np.float64)
