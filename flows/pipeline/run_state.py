"""What a run of the chain found, step by step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from olmix_core.data.corpus import LeafStatistics
from olmix_core.data.overlap import Overlap
from olmix_core.evidence.atoms import File
from olmix_core.evidence.pooling import LedgerSelection, VersionEvidence
from olmix_core.evidence.task_text import NO_TASK_TEXT, TaskText
from olmix_core.planning.base import Base
from olmix_core.planning.reuse import ReusePlan
from olmix_core.proposal.request import ProposalRequest
from tasks.steps.fit import FitResult
from tasks.steps.propose import ProposeResult
from tasks.steps.train import TrainResult
from tasks.steps.transfer import TransferResult


@dataclass
class RunState:
    """What the chain found, step by step; what was not reached is empty.

    Attributes:
        base: The mix that is built on.
        tokenizer: Fingerprint of the tokenizer.
        statistics: {leaf: its statistics}.
        overlap: Text that proxies are evaluated on and that stands in leaves, and copies of documents.
        task_text: Where text of the tasks stands, and what proxies on record left out of it.
        tokens: {leaf: tokens available}; of a sample, those that it stands for.
        natural: {leaf: natural share}.
        plan: The free dimensions and the number of proxies.
        trained: The proxies of the swarm.
        excluded: Why proxies of the swarm were left out, by name.
        lineage: Evidence of earlier versions.
        pool: Evidence of the rest of the ledger.
        splits: How leaves are written in atoms.
        contents: Files of all leaves in `splits`.
        evaluation_seconds: Mean over proxies and tasks; None where nothing had to be measured.
        standard_errors: {sampled task: standard error}, mean over proxies.
        to_come: Proxies of each round that was not reached, at most.
        anchors_to_come: Larger proxies that were not measured yet.
        evidence: Name of the set of ledger rows that the law is fitted to.
        fit: The fitted law.
        transfer: That law at the size of the target run.
        request: The proposal request; None until the natural mixture is known.
        proposal: The proposed mixture.
    """

    base: Base
    tokenizer: str = ""
    statistics: dict[str, LeafStatistics] = field(default_factory=dict)
    overlap: Overlap = field(default_factory=Overlap)
    task_text: TaskText = NO_TASK_TEXT
    tokens: dict[str, int] = field(default_factory=dict)
    natural: dict[str, float] = field(default_factory=dict)
    plan: ReusePlan = field(default_factory=ReusePlan)
    trained: list[TrainResult] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    lineage: VersionEvidence = field(default_factory=VersionEvidence)
    pool: LedgerSelection = field(default_factory=LedgerSelection)
    splits: dict[str, dict[str, float]] = field(default_factory=dict)
    contents: Mapping[str, Sequence[File]] = field(default_factory=dict)
    evaluation_seconds: float | None = None
    standard_errors: Mapping[str, float] = field(default_factory=dict)
    to_come: Sequence[int] = ()
    anchors_to_come: int = 0
    evidence: str = ""
    fit: FitResult = field(default_factory=FitResult)
    transfer: TransferResult = field(default_factory=TransferResult)
    request: ProposalRequest | None = None
    proposal: ProposeResult = field(default_factory=ProposeResult)

    @property
    def carried_over(self) -> int:
        """Proxies of earlier versions and of other swarms that the law is fitted to."""
        return len(self.lineage.proxies) + self.pool.proxies

    @property
    def left_out(self) -> Mapping[str, int]:
        """Proxies on record that it is not fitted to, by reason."""
        return self.pool.left_out or self.lineage.left_out
