"""mix.json: the record of a published mix, or of a fit of files, with a type for every part.

    mixes/<name>/<version>/    mix.json, mix.csv, surrogate.json, diagnostics.csv, trade_offs.csv, plan.json,
                               runs.parquet, report.html
    mixes/<name>/latest.json   {"version"}: written last, so that it never points at something half-written

`publish` writes a MixRecord, `olmix_core.interop.fit` a FitRecord; `parse_record` reads both.
"""

from functools import cached_property
from typing import Literal

from pydantic import Field, ValidationError

from olmix_core.data.domain_diff import OldLeaf
from olmix_core.errors import StoreError
from olmix_core.evidence.pooling import PinnedPool
from olmix_core.mixes.record_parts import (
    Column,
    FileContent,
    FitEvidence,
    FitLeaf,
    LeafRecord,
    PlanRecord,
    ProxyCounts,
    RecordPart,
    RequestRecord,
    SolverRecord,
    Speed,
    StepCounts,
    SwarmRecord,
    TaskRecord,
)
from olmix_core.mixes.record_settings import FitRecordSettings, MixSettings, TokenizerRecord
from olmix_core.mixes.target_record import TargetRecord
from olmix_core.serialization import JsonMapping
from olmix_core.surrogate.intervals import Interval

FORMAT_VERSION = 2  # of mix.json; records of release 0.1.0 have none, and are version 1


class MixRecord(RecordPart):
    """mix.json of a published version, in the current format; docs/store.md describes every field."""

    OMITTED = frozenset({"target"})

    format_version: int = FORMAT_VERSION
    kind: Literal["mix"] = "mix"
    name: str
    version: str
    parent: str | None
    created: str
    identity: str
    weights: dict[str, float]
    weights_by_content: dict[str, float]
    predicted: dict[str, Interval]
    gain: dict[str, Interval]
    target: TargetRecord | None = None
    tasks: tuple[TaskRecord, ...]
    domain_set: tuple[LeafRecord, ...]
    target_tokens: float
    run_tokens: int
    settings: MixSettings
    tokenizer: TokenizerRecord
    evidence: str
    pool: PinnedPool
    proxies: ProxyCounts
    speed: Speed
    request: RequestRecord = Field(alias="wish")
    solver: SolverRecord
    flags: dict[str, str]
    notes: tuple[str, ...]
    swarms: tuple[SwarmRecord, ...]
    base: str | None
    change: dict[str, str]
    removed: tuple[str, ...]
    origins: dict[str, tuple[str, ...]]
    plan: PlanRecord
    splits: dict[str, Column]
    contents: dict[str, tuple[FileContent, ...]]
    loosened: tuple[str, ...]
    step_keys: dict[str, tuple[str, ...]] = Field(alias="keys")  # `keys` would make the record look like a mapping
    run: dict[str, StepCounts]
    versions: dict[str, str]
    files: dict[str, str]

    @cached_property
    def labels(self) -> dict[str, str]:
        """{fingerprint: label} of the leaves."""
        return {leaf.fingerprint: leaf.label for leaf in self.domain_set}

    @property
    def training(self) -> StepCounts:
        """Proxies that the run trained, took from the cache and reused."""
        return self.run.get("train", StepCounts())

    @property
    def old_leaves(self) -> tuple[OldLeaf, ...]:
        """The leaves, to compare with a new domain set."""
        return tuple(OldLeaf(leaf.label, leaf.fingerprint, leaf.contents) for leaf in self.domain_set)


class FitRecord(RecordPart):
    """mix.json of a folder that `olmix fit` wrote: nothing is known of contents, versions and proxies."""

    format_version: int = FORMAT_VERSION
    kind: Literal["fit"] = "fit"
    name: str
    created: str
    predicted: dict[str, Interval]
    gain: dict[str, Interval]
    tasks: tuple[TaskRecord, ...]
    domain_set: tuple[FitLeaf, ...]
    target_tokens: float | None
    family: str
    gamma: float | None
    solver: SolverRecord
    flags: dict[str, str]
    versions: dict[str, str]
    notes: tuple[str, ...]
    weights: dict[str, float]
    evidence: FitEvidence
    differences: tuple[str, ...]
    settings: FitRecordSettings
    files: dict[str, str]


def parse_record(value: JsonMapping, file: str) -> MixRecord | FitRecord:
    """Read the content of a mix.json.

    Args:
        value: The JSON document, its seal taken off.
        file: Where it comes from, for messages.

    Returns:
        The record of a published version, or of a fit of files.

    Raises:
        StoreError: The record was written by a newer version or by one before 0.1.0, or lacks a field.
    """
    version = value.get("format_version", 1)
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise StoreError(
            f"{file}: format_version: found {version!r}; expected a number from 1 to {FORMAT_VERSION}: if a newer"
            " version of olmix-flows wrote the record, install that version to read it"
        )
    kind = value.get("kind", "mix" if "version" in value else "fit")  # records of release 0.1.0 do not say
    if kind not in ("mix", "fit"):
        raise StoreError(f"{file}: kind: found {kind!r}; expected mix or fit: restore the file from a copy")
    if kind == "mix" and "pool" not in value:
        raise StoreError(
            f"{file}: found a record from before evidence was a ledger; expected one of release 0.1.0 or later: name"
            " another store, where a run begins anew"
        )
    try:
        return (MixRecord if kind == "mix" else FitRecord).model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        value_read = "no such field" if first["type"] == "missing" else repr(first["input"])
        raise StoreError(
            f"{file}: {field}: found {value_read}; expected a record of format version {version}"
            f" ({first['msg'].lower()}): restore the file from a copy, or run or fit the mix again in another place"
        ) from error


def as_mix(record: MixRecord | FitRecord, file: str) -> MixRecord:
    """Narrow a record to that of a published version.

    Args:
        record: Any record.
        file: Where it comes from, for messages.

    Returns:
        The record.

    Raises:
        StoreError: It is the record of a fit of files.
    """
    if isinstance(record, FitRecord):
        raise StoreError(f"{file}: found the record of a fit of files; expected one that `olmix run` published")
    return record
