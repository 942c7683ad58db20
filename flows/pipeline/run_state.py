"""What a run of the chain found, step by step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from olmix_core.data.corpus import LeafStatistics
from olmix_core.evidence.pooling import LedgerSelection, VersionEvidence
from olmix_core.planning.base import Base
from tasks.runtime.step import Result


@dataclass
class RunState:
    """What the chain found, step by step; what was not reached is empty."""

    base: Base
    tokenizer: str = ""
    statistics: dict[str, LeafStatistics] = field(default_factory=dict)
    natural: dict[str, float] = field(default_factory=dict)
    plan: Result = field(default_factory=dict)
    trained: list[Result] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)  # why proxies of the swarm were left out, by name
    lineage: VersionEvidence = field(default_factory=VersionEvidence)  # evidence of earlier versions
    pool: LedgerSelection = field(default_factory=LedgerSelection)  # and of the rest of the ledger
    splits: dict[str, dict[str, float]] = field(default_factory=dict)
    contents: Mapping[str, Any] = field(default_factory=dict)  # files of what splits speak of
    evaluation_seconds: float | None = None  # mean over proxies and tasks; None where nothing had to be measured
    standard_errors: Mapping[str, float] = field(default_factory=dict)  # of sampled tasks, mean over proxies
    to_come: int = 0  # proxies of rounds that were not reached, at most
    evidence: str = ""
    fit: Result = field(default_factory=dict)
    wish: Mapping[str, Any] = field(default_factory=dict)  # what is asked of the mixture
    proposal: Result = field(default_factory=dict)

    @property
    def carried_over(self) -> int:
        """Proxies of earlier versions and of other swarms that the law is fitted to."""
        return len(self.lineage.proxies) + self.pool.proxies

    @property
    def left_out(self) -> Mapping[str, int]:
        """Proxies on record that it is not fitted to, by reason."""
        return self.pool.left_out or self.lineage.left_out
