"""The request that a published mix answered, with some of its terms changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import pandas as pd

from olmix_core.config.defaults import PAPER_KL
from olmix_core.errors import OlmixError
from olmix_core.mixes.record import FitRecord, MixRecord
from olmix_core.mixture import Array, caps
from olmix_core.proposal.request import Bound


class ProposalChanges(TypedDict, total=False):
    """Terms of a request that differ from those that were published; None and what is left out stays as published.

    Attributes:
        kl: Strength of the pull towards the reference.
        repetition: Epochs of a leaf, at most.
        target_tokens: Tokens of the run.
        pessimism: Standard deviations of the predicted mean that are added to it.
        task_weights: {task: weight} in the objective; other tasks get 0.
        lower: {label: least weight}, beside the bounds on record.
        upper: {label: highest weight}, beside the bounds on record.
        every_leaf: Give up kept and pinned ratios.
    """

    kl: float | None
    repetition: float | None
    target_tokens: float | None
    pessimism: float | None
    task_weights: Mapping[str, float] | None
    lower: Mapping[str, float] | None
    upper: Mapping[str, float] | None
    every_leaf: bool


@dataclass(frozen=True)
class PublishedTerms:
    """Terms of the request that a published mix answered.

    Attributes:
        kl: Strength of the pull towards the reference, in BPB.
        repetition: Epochs of any leaf, at most.
        pessimism: Standard deviations of the predicted mean that are added to it.
    """

    kl: float
    repetition: float
    pessimism: float

    @classmethod
    def of(cls, record: MixRecord | FitRecord) -> "PublishedTerms":
        """Read the terms from a record.

        Args:
            record: Of a published version, or of a fit of files.

        Returns:
            The terms; the paper's strength of the pull where a fit names none.
        """
        if isinstance(record, MixRecord):
            settings = record.settings.proposal
            return cls(settings.kl, settings.repetition, settings.pessimism)
        kl = record.settings.proposer.kl_reg
        return cls(PAPER_KL if kl is None else kl, record.settings.constraints.repetition_factor, 0.0)


def check_changes(changes: ProposalChanges, leaves: list[str]) -> None:
    """Check the names in changes.

    Args:
        changes: Terms that differ.
        leaves: Labels of the leaves.

    Raises:
        TypeError: A term is unknown.
        OlmixError: A limit names an unknown leaf.
    """
    for name in changes.keys() - ProposalChanges.__annotations__.keys():
        terms = ", ".join(ProposalChanges.__annotations__)
        raise TypeError(f"propose() got an unexpected keyword argument {name!r}; expected some of: {terms}")
    limited = (changes.get("lower") or {}).keys() | (changes.get("upper") or {}).keys()
    unknown = sorted(limited - set(leaves))
    if unknown:
        raise OlmixError(f"limits: found the domain {unknown[0]!r}; expected one of: {', '.join(leaves)}")


def changed_bounds(record: MixRecord | FitRecord, changes: ProposalChanges) -> tuple[Bound, ...]:
    """Put together bounds on record and changed limits of single leaves.

    Args:
        record: The record.
        changes: Terms that differ.

    Returns:
        The bounds, over labels.
    """
    on_record = record.request.bounds if isinstance(record, MixRecord) else ()
    lower, upper = changes.get("lower") or {}, changes.get("upper") or {}
    limits = [
        Bound((leaf,), lower.get(leaf, 0.0), upper.get(leaf, 1.0)) for leaf in sorted(lower.keys() | upper.keys())
    ]
    return (*(Bound(bound.domains, bound.low, bound.high) for bound in on_record), *limits)


def changed_caps(record: MixRecord | FitRecord, table: pd.DataFrame, changes: ProposalChanges) -> Array:
    """Caps k N / R of the leaves, with a changed k or R.

    Args:
        record: The record.
        table: mix.csv.
        changes: Terms that differ.

    Returns:
        [leaves] in the order of the table; as published where neither term is changed.

    Raises:
        OlmixError: The length of the run is needed and unknown.
    """
    repetition, target = changes.get("repetition"), changes.get("target_tokens")
    if repetition is None and target is None:
        return table["cap"].to_numpy(np.float64)
    target = record.target_tokens if target is None else target
    if target is None:
        raise OlmixError("propose: found no target_tokens on record; expected target_tokens to be given")
    repetition = PublishedTerms.of(record).repetition if repetition is None else repetition
    return caps(table["tokens"].to_numpy(np.float64), target, repetition)
