"""Evidence rows: the measured BPB of a proxy, keyed by content.

A row holds {content: weight}, {task: BPB}, and how the proxy was made. It stays true when domains are renamed,
reordered, added, removed or split, because it refers to content and not to names. A proxy that is measured on further
tasks later gets a further row; rows of one proxy are merged when they are read (`merge`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import pyarrow as pa

from olmix_core.identity import digest
from olmix_core.serialization import JsonMapping, Scalar

NUMBERS = pa.map_(pa.string(), pa.float64())
SCHEMA = pa.schema(
    [
        ("row", pa.string()),  # id: digest of everything that was measured
        ("proxy", pa.string()),  # key of the proxy
        ("mixture", NUMBERS),  # content fingerprint of a leaf -> weight, zeros left out
        ("bpb", NUMBERS),  # fingerprint of a task -> BPB
        ("recipe_key", pa.string()),  # digest of the recipe
        ("recipe", pa.string()),  # JSON
        ("tokenizer", pa.string()),  # fingerprint
        ("evaluation", pa.int64()),  # code_version of the evaluation that measured; 0 for imported rows
        ("swarm", pa.string()),  # key of the swarm that the proxy was drawn in, or name of an import
        ("source", pa.string()),  # NAME@VERSION of the mix that recorded the row, or the imported file
        ("imported", pa.bool_()),
        ("seed", pa.int64()),  # of the proxy; null where unknown
        ("tokens", pa.int64()),  # tokens trained on; null where unknown
        ("seconds", pa.float64()),  # of training; null where unknown
        (
            "labels",
            pa.map_(pa.string(), pa.string()),
        ),  # fingerprint of a leaf or task -> its label then
        ("recorded", pa.timestamp("us", tz="UTC")),
    ]
)
NOT_OURS = 0  # the `evaluation` of a row that was imported


def recipe_key(recipe: Mapping[str, Scalar]) -> str:
    """Compute the identity of a recipe; only rows with the same recipe are pooled.

    Args:
        recipe: The recipe as its proxies are keyed (`ProxyRecipe.identity`).

    Returns:
        A digest.
    """
    return digest(dict(recipe))


def declared(label: str) -> str:
    """Make a fingerprint for content, or a task, of which only a label is known.

    Args:
        label: The label.

    Returns:
        A digest, which no fingerprint of content or of a task equals.
    """
    return digest({"declared": label})


@dataclass(frozen=True)
class EvidenceRow:
    """A row of the ledger: BPB of one proxy on some tasks.

    Attributes:
        proxy: Key of the proxy.
        mixture: {content fingerprint of a leaf: weight}.
        bpb: {fingerprint of a task: BPB}.
        recipe: The recipe of the proxy, as JSON.
        tokenizer: Fingerprint of the tokenizer.
        swarm: Key of the swarm that the proxy was drawn in, or name of an import.
        evaluation: Code_version of the evaluation that measured; `NOT_OURS` for imported rows.
        source: NAME@VERSION of the mix that recorded the row, or the imported file.
        imported: Whether the proxy was trained and measured elsewhere.
        seed: Seed of the proxy, None where unknown.
        tokens: Tokens trained on, None where unknown.
        seconds: Time of training, None where unknown.
        labels: {fingerprint: label} of leaves and tasks when the row was recorded.
        recorded: Time of record, UTC.
    """

    proxy: str
    mixture: Mapping[str, float]
    bpb: Mapping[str, float]
    recipe: Mapping[str, Scalar]
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
        """Digest of everything that was measured. Time, duration and labels are not part of it."""
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
    """Write rows as a table.

    Args:
        rows: The rows.

    Returns:
        A table of `SCHEMA`, one row of each id, ordered by proxy and id.
    """
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
    """Read the rows of a table one by one; for many rows use `merge`.

    Args:
        table: A table of `SCHEMA`.

    Returns:
        The rows, in the order of the table.
    """
    return [_row(record) for record in table.to_pylist()]


def _row(record: JsonMapping) -> EvidenceRow:
    values = {name: record[name] for name in SCHEMA.names if name not in ("row", "recipe_key")}
    maps = {name: dict(record[name]) for name in ("mixture", "bpb", "labels")}
    return EvidenceRow(**{**values, **maps, "recipe": json.loads(record["recipe"])})
