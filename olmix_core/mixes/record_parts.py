"""The nested parts of mix.json, see `record`.

Names of fields are the keys of the file. Keys that a part does not know are skipped on reading; the parts of
`record_settings` keep them.
"""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from olmix_core.serialization import JsonObject

Column = dict[str, float]  # {label: share}
FileContent = tuple[str, int, str]  # content hash, size in bytes, reader


class RecordPart(BaseModel):
    """A part of mix.json. Fields in OMITTED are left out of the file where they are None."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    OMITTED: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_omitted(self, dump: SerializerFunctionWrapHandler) -> JsonObject:
        values: JsonObject = dump(self)
        return {name: value for name, value in values.items() if value is not None or name not in self.OMITTED}

    def to_json(self) -> JsonObject:
        """Write the part as JSON.

        Returns:
            Plain JSON values under the keys of the file.
        """
        return self.model_dump(mode="json", by_alias=True)


class TaskRecord(RecordPart):
    """A task: its weight in the objective, and the predicted BPB of each mixture.

    fingerprint: None in a fit of files. family: None where it is not on record. standard_error: of a sampled task.
    previous and full_reuse: None where there is no such mixture, or the law does not know all its content.
    """

    OMITTED = frozenset({"previous", "full_reuse"})

    name: str
    family: str | None = None
    fingerprint: str | None = None
    weight: float
    standard_error: float | None = None
    natural: float
    proposed: float
    previous: float | None = None
    full_reuse: float | None = None


class LeafRecord(RecordPart):
    """A leaf of a published mix: its statistics, and the files that its content is made of.

    stands_for: tokens that its files stand for; None where they are all of it. excluded_tokens: tokens that are not
    trained on, since they hold text that proxies are evaluated on; None where there are none.
    """

    OMITTED = frozenset({"stands_for", "excluded_tokens"})

    label: str
    fingerprint: str
    documents: int
    bytes: int
    tokens: int
    heldout_tokens: int
    heldout_bytes: int
    bytes_per_token: float
    stands_for: int | None = None
    excluded_tokens: int | None = None
    contents: tuple[FileContent, ...]

    @property
    def represented(self) -> int:
        """Tokens to train on; of a sample, those that it stands for."""
        return self.tokens - self.heldout_tokens if self.stands_for is None else self.stands_for


class FitLeaf(RecordPart):
    """A leaf of a fit of files, of which nothing but its label is known; column: the column of ratios it is in."""

    label: str
    fingerprint: None = None
    column: str
    tokens: float | None


class ProxyCounts(RecordPart):
    """Proxies that the law was fitted to, and what the swarm of this version cost.

    tokens, seconds: of the swarm, summed over proxies. parameters: of a proxy, None without a swarm. full_recompute:
    proxies that training with every domain free takes.
    """

    swarm: int
    carried_over: int
    pooled: int
    left_out: dict[str, int]
    diverged: int
    tokens: int
    seconds: float
    parameters: int | None
    full_recompute: int


class Speed(RecordPart):
    """Seconds of one worker, per token trained and per evaluation; None where nothing was timed."""

    OMITTED = frozenset({"train_seconds_per_token", "evaluate_seconds"})

    train_seconds_per_token: float | None = None
    evaluate_seconds: float | None = None


class BoundRecord(RecordPart):
    """Bounds of the summed weight of some leaves."""

    domains: tuple[str, ...]
    low: float
    high: float


class RequestRecord(RecordPart):
    """Limits and reference of the proposal, by label; reference is None for the natural mixture."""

    bounds: tuple[BoundRecord, ...]
    reference: Column | None


class SolverRecord(RecordPart):
    """How the solver ended. gap: BPB, None where nothing proves it. residual: largest violation of a constraint."""

    status: str
    gap: float | None
    residual: float


class SwarmRecord(RecordPart):
    """A swarm among several that the law was fitted to (see `olmix_core.surrogate.regression.prior_selection`)."""

    swarm: str
    runs: int
    weight: float
    left_out_error: float | None


class LeafCoupling(RecordPart):
    """The coupling before and after a leaf is released; fall: share of it that releasing the leaf takes away."""

    leaf: str
    before: float
    after: float
    fall: float


class CouplingRecord(RecordPart):
    """The coupling of kept and recomputed leaves (see `olmix_core.planning.coupling`)."""

    before: float
    after: float
    released: tuple[LeafCoupling, ...]
    leaves: tuple[LeafCoupling, ...]
    resembles: dict[str, Column]


class PlanRecord(RecordPart):
    """plan.json: the columns of the expansion matrix, and which old ratios they keep."""

    columns: tuple[Column, ...]
    kept: tuple[str, ...]
    released: tuple[str, ...]
    runs: int
    reusable: tuple[Column, ...] | None
    coupling: CouplingRecord | None


class StepCounts(RecordPart):
    """Results of a step by how they came about."""

    executed: int = 0
    cached: int = 0
    reused: int = 0


class FitEvidence(RecordPart):
    """Runs of a fit of files: fitted to, held out, and the columns that they mix."""

    runs: int
    held_out: int
    domains: int
