"""Evidence: what every evaluated proxy is a witness of, for ever.

A row says {content: weight}, {task: BPB}, and how the proxy was made. It stays true when domains are renamed,
reordered, added, removed or split, since it speaks of content. A proxy that is measured on further tasks later is a
further row; rows of one proxy are merged when they are read (see `merge`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import pyarrow as pa

from olmix_core.identity import digest

NUMBERS = pa.map_(pa.string(), pa.float64())
SCHEMA = pa.schema(
    [
        ("row", pa.string()),  # digest of what the row says
        ("proxy", pa.string()),  # key of the proxy
        ("mixture", NUMBERS),  # content fingerprint of a leaf -> weight, zeros left out
        ("bpb", NUMBERS),  # fingerprint of a task -> BPB
        ("recipe_key", pa.string()),  # digest of the recipe
        ("recipe", pa.string()),  # JSON
        ("tokenizer", pa.string()),  # fingerprint
        ("evaluation", pa.int64()),  # code_version of the evaluation that measured; 0 where it was not ours
        ("swarm", pa.string()),  # the batch that it was drawn in: key of a swarm, or name of an import
        ("source", pa.string()),  # NAME@VERSION of the mix that recorded it, or the file that it was imported from
        ("imported", pa.bool_()),
        ("seed", pa.int64()),  # of the proxy; null where it is not known
        ("tokens", pa.int64()),  # trained on; null where it is not known
        ("seconds", pa.float64()),  # of training; null where it is not known
        ("labels", pa.map_(pa.string(), pa.string())),  # what leaves and tasks were called when it was recorded
        ("recorded", pa.timestamp("us", tz="UTC")),
    ]
)
NOT_OURS = 0  # the `evaluation` of a row that was imported


def recipe_key(recipe: Mapping[str, Any]) -> str:
    """The identity of a recipe: only rows with the same one are pooled."""
    return digest(dict(recipe))


def declared(label: str) -> str:
    """The fingerprint of content, or of a task, that is known by a label only."""
    return digest({"declared": label})


@dataclass(frozen=True)
class EvidenceRow:
    """What one proxy showed. `recorded` is the time of record, in UTC; the other fields are as in SCHEMA."""

    proxy: str
    mixture: Mapping[str, float]
    bpb: Mapping[str, float]
    recipe: Mapping[str, Any]
    tokenizer: str
    swarm: str
    evaluation: int = NOT_OURS
    source: str = ""
    imported: bool = False
    seed: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    recorded: datetime = field(default_factory=lambda: datetime.now(UTC))

    @cached_property
    def id(self) -> str:
        """What the row says, as a digest. When, how long and under which names is no part of it."""
        return digest(
            {
                "proxy": self.proxy,
                "mixture": dict(self.mixture),
                "bpb": dict(self.bpb),
                "recipe": recipe_key(self.recipe),
                "tokenizer": self.tokenizer,
                "evaluation": self.evaluation,
                "swarm": self.swarm,
            }
        )


def to_table(rows: Sequence[EvidenceRow]) -> pa.Table:
    """The rows as a table of SCHEMA, one of each id, ordered by proxy and id."""
    ordered = sorted({row.id: row for row in rows}.values(), key=lambda row: (row.proxy, row.id))
    columns: dict[str, list[Any]] = {
        name: [getattr(row, name) for row in ordered]
        for name in ("proxy", "tokenizer", "evaluation", "swarm", "source", "imported", "seed", "tokens", "seconds")
    }
    columns |= {name: [sorted(getattr(row, name).items()) for row in ordered] for name in ("mixture", "bpb", "labels")}
    columns["row"] = [row.id for row in ordered]
    columns["recipe_key"] = [recipe_key(row.recipe) for row in ordered]
    columns["recipe"] = [json.dumps(dict(row.recipe), sort_keys=True) for row in ordered]
    columns["recorded"] = [row.recorded for row in ordered]
    return pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)


def from_table(table: pa.Table) -> list[EvidenceRow]:
    """The rows of a table of SCHEMA. One at a time: for few rows; `merge` is for many."""
    return [_row(record) for record in table.to_pylist()]


def _row(record: dict[str, Any]) -> EvidenceRow:
    said = {name: record[name] for name in SCHEMA.names if name not in ("row", "recipe_key")}
    maps = {name: dict(record[name]) for name in ("mixture", "bpb", "labels")}
    return EvidenceRow(**{**said, **maps, "recipe": json.loads(record["recipe"])})
