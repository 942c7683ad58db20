"""Mixture reuse: which ratios of the last mix are kept when the domain set changes (paper, section 5).

Reuse is a choice of the expansion E. Unaffected leaves that are kept form one column of E, their old weights
renormalised; every affected or released leaf is a column of its own, and so is every set of leaves with pinned shares.
Full recomputation keeps nothing, and E is the identity. So q = E r has the old ratios exactly, however often the set
changed before. Under `auto` the kept leaves decide the number of proxies alone: swarm and proposal move all ratios.

The proxies of an update follow from the plan:

1. `planning.base` finds the version to build on and compares its leaves with those of today (`data.domain_diff`).
2. `plan_reuse` makes the columns, and K, the number of proxies: `swarm.runs`, or 3 (d + 1) for d free columns, where
   all kept leaves are one column; 0 where one column is left and there is earlier evidence. `planning.release` chooses
   the leaves that are recomputed although they did not change.
   The columns of the swarm are all leaves under `auto` and `full_recompute`, else the free columns (the last lines of
   `plan_reuse`).
3. `planning.swarm` draws K mixtures over these columns; with `swarm.rounds`, those of the first round, and step
   `next_round` chooses the others from the law of the round before.
4. `flows.pipeline.train_swarm` trains each mixture whose result is not in the store. The key of step `train` holds its
   mixture, recipe and tokenizer, the text of tasks that is left out of its leaves, and the attempt after a divergence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from olmix_core.config.defaults import default_runs
from olmix_core.data.input_file import InputFile
from olmix_core.data.tokenizer import Tokenizer
from olmix_core.evidence import ledger
from olmix_core.evidence.atoms import Split, in_atoms
from olmix_core.evidence.merge import COLUMNS, merge
from olmix_core.planning.release import ReleaseChoice, choose_release
from olmix_core.proposal.expansion import Column
from olmix_core.serialization import JsonRecord
from olmix_core.storage.layout import tokenizer_path
from olmix_core.storage.store import Store


@dataclass(frozen=True)
class CouplingInputs(JsonRecord):
    """What the coupling of kept and recomputed leaves is measured from.

    Attributes:
        evidence: Name of the set of ledger rows.
        splits: How leaves are written in atoms.
        tokenizer: Fingerprint of the tokenizer.
    """

    evidence: str
    splits: Split
    tokenizer: str


@dataclass(frozen=True)
class ReuseBase(JsonRecord):
    """What a plan depends on of the mix that it builds on.

    Attributes:
        weights: {leaf: weight} of the unaffected leaves.
        affected: Leaves whose content changed or is new.
        added: Those of them that are new.
        origins: {affected leaf: {old leaf: share}} of those that come from old content.
        release: Unaffected leaves that the configuration releases.
        informed: Whether there is evidence of earlier versions.
        coupling: Inputs of the automatic release; None where it is not asked for.
    """

    weights: Mapping[str, float]
    affected: Sequence[str]
    added: Sequence[str]
    origins: Mapping[str, Mapping[str, float]]
    release: Sequence[str]
    informed: bool
    coupling: CouplingInputs | None


@dataclass(frozen=True)
class ReuseSources:
    """Where the evidence and the text are that a release is chosen from.

    Attributes:
        store: The store of the ledger and the tokenizer.
        rows: Ids of the ledger rows.
        files: {leaf: its input files}.
    """

    store: Store
    rows: Sequence[str]
    files: Mapping[str, Sequence[InputFile]]


@dataclass(frozen=True)
class ReusePlan(JsonRecord):
    """The free dimensions of a swarm.

    Attributes:
        columns: Columns of E, {leaf: share} each.
        kept: Leaves in the column of old ratios.
        runs: Number of proxies K.
        released: Unaffected leaves that are recomputed all the same.
        coupling: How they were chosen; None where that was not asked for.
        reusable: Where ratios could be kept but are not, the columns that would keep them.
    """

    columns: Sequence[Column] = ()
    kept: Sequence[str] = ()
    runs: int = 0
    released: Sequence[str] = ()
    coupling: ReleaseChoice | None = None
    reusable: Sequence[Column] | None = None


def plan_reuse(
    free_columns: Sequence[Column], runs: int | None, base: ReuseBase | None, sources: ReuseSources
) -> ReusePlan:
    """Choose the free dimensions and the number of runs.

    Under strategy `auto` (`base.coupling` is set) old ratios only say how many runs are needed: the swarm explores all
    leaves, and the columns that would keep the ratios are returned as `reusable`.

    Args:
        free_columns: The free dimensions if nothing were kept.
        runs: Number of proxies; None for the default of the number of free dimensions.
        base: The mix that the plan builds on; None for full recomputation.
        sources: Where evidence and text are.

    Returns:
        The plan.
    """
    everything = frozenset(leaf for column in free_columns for leaf in column)
    if base is None:
        return plan_columns(free_columns, {}, everything, runs)
    affected = frozenset(base.affected)
    released, choice = list(base.release), None
    if base.coupling is not None and affected:
        choice = _choose_release(base, base.coupling, sorted(everything - affected), sources)
        released = [effect.leaf for effect in choice.released] if choice else []
    plan = plan_columns(free_columns, base.weights, affected | set(released), runs)
    if plan.runs == 0 and not base.informed:
        # Nothing is left to explore, and there is no evidence to learn from: begin anew.
        plan = plan_columns(free_columns, {}, everything, runs)
    plan = replace(plan, released=released, coupling=choice)
    if base.coupling is None or not plan.kept:
        return plan
    return replace(plan, columns=free_columns, kept=(), reusable=plan.columns)


def _choose_release(
    base: ReuseBase, inputs: CouplingInputs, kept: Sequence[str], sources: ReuseSources
) -> ReleaseChoice | None:
    evidence = merge(ledger.read(sources.store, COLUMNS, sources.rows))
    atoms = sorted(in_atoms(dict.fromkeys(evidence.contents(), 1.0), inputs.splits))
    return choose_release(
        evidence=evidence.problem(atoms, inputs.splits, sorted(evidence.bpb.names)),
        old_weights=base.weights,
        kept=kept,
        affected={leaf: base.origins.get(leaf) for leaf in sorted(base.affected)},
        files=sources.files,
        tokenizer=Tokenizer.from_json(sources.store.read_json(tokenizer_path(inputs.tokenizer))),
    )


def plan_columns(
    free_columns: Sequence[Column], old_weights: Mapping[str, float], recomputed: frozenset[str], runs: int | None
) -> ReusePlan:
    """Keep the old ratios of all leaves except the recomputed ones.

    A column with a recomputed leaf is recomputed as a whole, since its shares are pinned.

    Args:
        free_columns: The free dimensions if nothing were kept.
        old_weights: {leaf: weight} of the last mix, for all leaves that may be kept.
        recomputed: Leaves whose ratios are not kept.
        runs: Number of proxies; None for the default of the number of free dimensions.

    Returns:
        The columns and the number of runs: 0 where one column is left, so that there is nothing to choose.
    """
    keeps = [not recomputed & column.keys() and _has_shares(column, old_weights) for column in free_columns]
    kept = [leaf for column, keep in zip(free_columns, keeps, strict=True) if keep for leaf in column]
    total = sum(old_weights[leaf] for leaf in kept)
    columns = [column for column, keep in zip(free_columns, keeps, strict=True) if not keep]
    if total > 0:
        columns.insert(0, {leaf: old_weights[leaf] / total for leaf in kept})
    else:
        # Leaves without any weight have no ratios to keep.
        kept, columns = [], list(free_columns)
    needed = 0 if len(columns) == 1 else runs or default_runs(len(columns))
    return ReusePlan(tuple(columns), tuple(kept), needed)


def _has_shares(column: Column, old_weights: Mapping[str, float]) -> bool:
    """Whether the old weights of a column have the shares that are pinned now."""
    total = sum(old_weights[leaf] for leaf in column)
    return all(abs(old_weights[leaf] - share * total) <= 1e-6 * total for leaf, share in column.items())
