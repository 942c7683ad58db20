"""What a run will do: its inputs, the mix that it builds on, the leaves that it recomputes, and the swarm it trains.

In go a configuration, the domain set, and published mixes with their evidence. Out come checked inputs
(`resolve_inputs`), the base (`find_base`), the free dimensions (`plan_reuse`, `choose_release`), the mixtures to train
on (`sample_swarm`), and those of the next round of an adaptive swarm (`propose_round`). Nothing here trains a proxy or
writes to the store.
"""

from olmix_core.planning.base import Base, find_base
from olmix_core.planning.bounds import NamedBounds, previous_as_reference
from olmix_core.planning.preflight import ResolvedInputs, check_statistics, resolve_inputs
from olmix_core.planning.release import ReleaseChoice, ReleaseEffect, choose_release
from olmix_core.planning.reuse import CouplingInputs, ReuseBase, ReusePlan, ReuseSources, plan_reuse
from olmix_core.planning.sequential import NextRound, RoundSettings, propose_round
from olmix_core.planning.swarm import SwarmSpace, sample_swarm

__all__ = [
    "Base",
    "CouplingInputs",
    "NamedBounds",
    "NextRound",
    "ReleaseChoice",
    "ReleaseEffect",
    "ResolvedInputs",
    "ReuseBase",
    "ReusePlan",
    "ReuseSources",
    "RoundSettings",
    "SwarmSpace",
    "check_statistics",
    "choose_release",
    "find_base",
    "plan_reuse",
    "previous_as_reference",
    "propose_round",
    "resolve_inputs",
    "sample_swarm",
]
