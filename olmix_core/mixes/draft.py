"""A mix before it is published: the parts of a run that are facts about its mixture. Leaves go by fingerprint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from olmix_core.data.corpus import LeafStatistics
from olmix_core.data.domain_diff import DomainDiff
from olmix_core.data.domains import DomainSet, Leaf
from olmix_core.data.overlap import Overlap
from olmix_core.data.tasks import EvaluationTask
from olmix_core.evidence.atoms import File, Split
from olmix_core.evidence.pooling import PinnedPool
from olmix_core.identity import digest
from olmix_core.mixes.record_parts import PlanRecord, SolverRecord, SwarmRecord
from olmix_core.mixes.record_settings import MixSettings, TokenizerRecord
from olmix_core.mixes.runs import FittedRun
from olmix_core.proposal.request import ProposalRequest
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.scaling.target_surrogate import TargetSurrogate


@dataclass(frozen=True)
class SwarmProxy:
    """A trained proxy.

    Attributes:
        proxy: Its key.
        parameters: Number of parameters.
        tokens: Tokens that it trained on.
        seconds: Duration of its training.
    """

    proxy: str
    parameters: int
    tokens: int
    seconds: float


@dataclass(frozen=True)
class ProposedMixture:
    """A proposed mixture; all mappings are by leaf.

    Attributes:
        key: Key of the proposal.
        request: What was asked of it.
        target_tokens: Tokens R of the run.
        weights: Weights of the mixture.
        caps: Highest weights.
        at_cap: Whether the cap is reached.
        shadow_prices: BPB gained per unit of weight by which the cap rises.
        sequences: Whole sequences in the run.
        loosened: Leaves that were freed from their ratios so that the caps can be met.
        full_reuse: Weights that would be proposed if old ratios were kept; None where that was not asked.
        solver: How the solver ended.
        trade_offs: Content of trade_offs.csv.
    """

    key: str
    request: ProposalRequest
    target_tokens: float
    weights: Mapping[str, float]
    caps: Mapping[str, float]
    at_cap: Mapping[str, bool]
    shadow_prices: Mapping[str, float]
    sequences: Mapping[str, int]
    loosened: Sequence[str]
    full_reuse: Mapping[str, float] | None
    solver: SolverRecord
    trade_offs: bytes


@dataclass(frozen=True)
class FittedLaw:
    """A law and the evidence that it was fitted to.

    Attributes:
        surrogate: The law.
        diagnostics: Content of diagnostics.csv, tasks by fingerprint.
        runs: The runs that it was fitted to.
        swarms: What each of several swarms is to the law.
        evidence: Name of the set of evidence.
        pool: The evidence of other swarms, as it was pinned.
        pooled: Proxies of the pool.
        carried_over: Proxies of earlier versions and of the pool.
        left_out: {reason: proxies on record that were not used}.
    """

    surrogate: Surrogate
    diagnostics: bytes
    runs: Sequence[FittedRun]
    swarms: Sequence[SwarmRecord]
    evidence: str
    pool: PinnedPool
    pooled: int
    carried_over: int
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class SwarmSummary:
    """The proxies of this version.

    Attributes:
        proxies: The proxies, those from the cache included.
        excluded: Why proxies were left out, by name.
        standard_errors: {task: standard error of its BPB} of sampled tasks, mean over proxies.
        evaluation_seconds: Mean over proxies and tasks; None where nothing was measured.
    """

    proxies: Sequence[SwarmProxy] = ()
    excluded: Sequence[str] = ()
    standard_errors: Mapping[str, float] = field(default_factory=dict)
    evaluation_seconds: float | None = None

    @property
    def tokens(self) -> int:
        """Tokens that all proxies trained on."""
        return sum(proxy.tokens for proxy in self.proxies)

    @property
    def seconds(self) -> float:
        """Time that the training of all proxies took."""
        return sum(proxy.seconds for proxy in self.proxies)

    @property
    def parameters(self) -> int | None:
        """Parameters of a proxy; None without proxies."""
        return self.proxies[0].parameters if self.proxies else None


@dataclass(frozen=True)
class Descent:
    """What the mix builds on.

    Attributes:
        base: The version that it builds on; None for a first one.
        change: What happened to the domain set since.
        plan: The columns of the expansion, and the ratios that they keep.
        splits: How leaves are written in atoms.
        contents: {leaf: its files} of leaves that `splits` speaks of.
        origins: {leaf: leaves that its content comes from}.
    """

    base: str | None
    change: DomainDiff | None
    plan: PlanRecord
    splits: Split
    contents: Mapping[str, Sequence[File]]
    origins: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class MixDraft:
    """A mix that is ready to be published.

    Attributes:
        name: Name of the mix.
        domains: The domain set.
        tasks: The evaluation tasks.
        statistics: {leaf: its statistics}.
        overlap: Text that proxies are evaluated on and that stands in leaves, and copies of documents.
        natural: {leaf: natural weight}.
        settings: The sections of the configuration that it rests on.
        tokenizer: The tokenizer.
        proposal: The proposed mixture.
        law: The law of the proxies.
        target: That law at the size of the target run, where it was proposed; None if no size was stated.
        swarm: The proxies of this version.
        descent: What it builds on.
        keys: {step: keys of all its results}.
    """

    name: str
    domains: DomainSet
    tasks: Sequence[EvaluationTask]
    statistics: Mapping[str, LeafStatistics]
    overlap: Overlap
    natural: Mapping[str, float]
    settings: MixSettings
    tokenizer: TokenizerRecord
    proposal: ProposedMixture
    law: FittedLaw
    target: TargetSurrogate | None
    swarm: SwarmSummary
    descent: Descent
    keys: Mapping[str, Sequence[str]]

    @property
    def labels(self) -> dict[str, str]:
        """Labels of leaves and tasks, by fingerprint."""
        return self.domains.labels | {task.fingerprint: task.label for task in self.tasks}

    def tokens(self, leaf: Leaf) -> int:
        """Count the tokens of a leaf.

        Args:
            leaf: One of the leaves.

        Returns:
            Its tokens to train on; of a sample, those that it stands for.
        """
        return leaf.represented(self.statistics[leaf.fingerprint].available)

    @property
    def identity(self) -> str:
        """Digest of proposal, labels and tasks; equal for two mixes that say the same."""
        return digest(
            {
                "proposal": self.proposal.key,
                "leaves": self.domains.labels,
                "tasks": {task.fingerprint: task.label for task in self.tasks},
            }
        )
