"""A mix before it is published: the parts of a run that are facts about its mixture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from olmix_core.data.corpus import LeafStatistics
from olmix_core.data.domain_diff import DomainDiff
from olmix_core.data.domains import DomainSet
from olmix_core.data.tasks import EvaluationTask
from olmix_core.evidence.atoms import File, Split
from olmix_core.evidence.pooling import PinnedPool
from olmix_core.identity import digest
from olmix_core.mixes.runs import FittedRun
from olmix_core.surrogate.base import Surrogate


@dataclass(frozen=True)
class MixDraft:
    """What is published: the parts of a run that are facts about its mixture."""

    name: str
    domains: DomainSet
    tasks: Sequence[EvaluationTask]
    statistics: Mapping[str, LeafStatistics]  # by leaf
    natural: Mapping[str, float]
    proposal: Mapping[str, Any]  # result of step `propose`
    wish: Mapping[str, Any]  # its payload
    surrogate: Surrogate
    diagnostics: bytes
    trade_offs: bytes
    runs: Sequence[FittedRun]  # that the surrogate was fitted to
    plan: Mapping[str, Any]  # result of step `plan`
    target_tokens: float
    tokenizer: Mapping[str, Any]  # {settings, fingerprint}
    settings: Mapping[str, Any]  # of the configuration: proxy, swarm, surrogate, proposal
    proxies: Sequence[Mapping[str, Any]]  # results of step `train`
    evidence: str
    keys: Mapping[str, Sequence[str]]  # of all results, by step
    base: str | None = None  # the version that was built on
    change: DomainDiff | None = None  # of the domain set since then
    splits: Split = field(default_factory=dict)  # how leaves are written in atoms
    contents: Mapping[str, Sequence[File]] = field(default_factory=dict)  # files of what splits speak of
    carried_over: int = 0  # proxies of earlier versions and of the pool that the law was fitted to as well
    pool: PinnedPool = field(default_factory=PinnedPool)  # what was pinned of the ledger
    pooled: int = 0  # proxies of the pool
    swarms: Sequence[Mapping[str, Any]] = ()  # what each swarm is to a pooled law (see `pooling`)
    origins: Mapping[str, Sequence[str]] = field(default_factory=dict)  # {leaf: leaves that its content comes from}
    standard_errors: Mapping[str, float] = field(default_factory=dict)  # of sampled tasks, mean over proxies
    evaluation_seconds: float | None = None  # mean over proxies and tasks; None where nothing was measured
    excluded: Sequence[str] = ()  # why proxies of the swarm were left out, by name
    left_out: Mapping[str, int] = field(default_factory=dict)  # proxies on record that were not used, by reason

    @property
    def identity(self) -> str:
        """Equal for two mixes that say the same under the same labels."""
        return digest(
            {
                "proposal": self.proposal["proposal"],
                "leaves": self.domains.labels,
                "tasks": {task.fingerprint: task.label for task in self.tasks},
            }
        )
