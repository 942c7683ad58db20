"""What would have been proposed under other wishes: the law, ratios and limits of a published mix, some changed.

Whatever is not given stays as it was published: strength and reference of the KL term, epochs, length of the run,
pessimism, bounds of leaves and groups, task weights.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from olmix_core.config.defaults import PAPER_KL
from olmix_core.errors import OlmixError
from olmix_core.mixes.record import FitRecord, MixRecord
from olmix_core.mixture import Array, LeafIndex, caps
from olmix_core.proposal.constraints import Groups
from olmix_core.proposal.expansion import expansion, released_for_caps
from olmix_core.proposal.solve import ProposalProblem, propose

if TYPE_CHECKING:
    from olmix_core.mixes.published_mix import PublishedMix


def propose_again(
    mix: "PublishedMix",
    *,
    kl: float | None,
    repetition: float | None,
    target_tokens: float | None,
    pessimism: float | None,
    task_weights: Array | None,
    lower: Mapping[str, float],
    upper: Mapping[str, float],
    every_leaf: bool,
) -> dict[str, float]:
    """See `PublishedMix.propose`; task_weights [T] sum to 1."""
    if not mix.can_propose:
        raise OlmixError("propose: found a fit of virtual domains or fixed weights; expected one without")
    leaves, asked = mix.leaves, _asked(mix.record)
    highest = _caps(mix, asked, repetition, target_tokens)
    columns: list[dict[str, float]] = [{leaf: 1.0} for leaf in leaves]
    if isinstance(mix.record, MixRecord) and not every_leaf:
        columns, _ = released_for_caps(mix.record.plan.columns, dict(zip(leaves, highest.tolist(), strict=True)))
    low, high, groups = _limits(mix, lower, upper)
    belongs = (mix.columns > 0).astype(np.float64)  # what a leaf is made of belongs to no other
    reference = mix.record.wish.reference if isinstance(mix.record, MixRecord) else None
    found = propose(
        mix.surrogate,
        ProposalProblem(
            expansion=mix.columns @ expansion(columns, leaves),
            natural=mix.columns @ mix.mixtures["natural"],
            reference=None if reference is None else mix.columns @ np.array([reference[leaf] for leaf in leaves]),
            caps=mix.columns @ np.minimum(highest, 1.0),
            kl=asked["kl"] if kl is None else kl,
            task_weights=mix.task_weights if task_weights is None else task_weights,
            lower=mix.columns @ low,
            upper=np.where(belongs.any(axis=1), mix.columns @ high, np.inf),
            groups=Groups(groups.names, groups.members @ belongs.T, groups.lower, groups.upper),
            pessimism=asked["pessimism"] if pessimism is None else pessimism,
        ),
    )
    return dict(zip(leaves, (found.weights @ belongs).tolist(), strict=True))


def _asked(record: MixRecord | FitRecord) -> dict[str, float]:
    """kl, repetition and pessimism of the record, whether of a mix or of a folder of `olmix fit`."""
    if isinstance(record, MixRecord):
        settings = record.settings.proposal
        return {"kl": settings.kl, "repetition": settings.repetition, "pessimism": settings.pessimism}
    kl = record.settings.proposer.kl_reg
    return {
        "kl": PAPER_KL if kl is None else kl,
        "repetition": record.settings.constraints.repetition_factor,
        "pessimism": 0.0,
    }


def _caps(
    mix: "PublishedMix", asked: Mapping[str, float], repetition: float | None, target_tokens: float | None
) -> Array:
    """[leaves] the caps k N / R of the record, with another k or R where that is given."""
    if repetition is None and target_tokens is None:
        return mix.table["cap"].to_numpy(np.float64)
    target = mix.record.target_tokens if target_tokens is None else target_tokens
    if target is None:
        raise OlmixError("propose: found no target_tokens on record; expected target_tokens to be given")
    epochs = asked["repetition"] if repetition is None else repetition
    return caps(mix.table["tokens"].to_numpy(np.float64), target, epochs)


def _limits(mix: "PublishedMix", lower: Mapping[str, float], upper: Mapping[str, float]) -> tuple[Array, Array, Groups]:
    """Lower and upper [leaves] limits, those of the record and the given ones, and the groups of the record."""
    leaves = LeafIndex(tuple(mix.leaves))
    unknown = sorted((lower.keys() | upper.keys()) - set(leaves))
    if unknown:
        raise OlmixError(f"limits: found the domain {unknown[0]!r}; expected one of: {', '.join(mix.leaves)}")
    low, high = leaves.vector(lower), leaves.vector(upper, default=1.0)
    members, least, most = [], [], []
    for bound in mix.record.wish.bounds if isinstance(mix.record, MixRecord) else ():
        inside = [leaves.position(leaf) for leaf in bound.domains]
        if len(inside) == 1:
            low[inside], high[inside] = np.maximum(low[inside], bound.low), np.minimum(high[inside], bound.high)
        else:
            members.append(np.isin(np.arange(len(leaves)), inside).astype(np.float64))
            least.append(bound.low)
            most.append(bound.high)
    names = tuple(f"bound {k + 1}" for k in range(len(members)))
    return low, high, Groups(names, np.array(members).reshape(-1, len(leaves)), np.array(least), np.array(most))
