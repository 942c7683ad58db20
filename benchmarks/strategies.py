"""What to run and what to propose after every update of the simulated domain set, by strategy.

- full_recompute: after every update a new swarm of c (d + 1) runs over all domains, learnt from by itself.
- full_reuse, partial_reuse (paper, section 5): the old ratios are one column of E, what is affected the others; a swarm
  of 3 (d + 1) runs over E r, learnt from by itself in r. Partial reuse frees software_development too, at update 1.
- swarm_reuse: the runs of earlier swarms count towards the 3 (d + 1) over all domains; the missing ones are made.
- auto: learns from all runs ever made (pooled), and optimises over all leaves; c (d + 1) runs for the d columns of E,
  drawn in E (what is affected against the rest) or over all leaves.
- adaptive: as auto over all leaves, but only the first part of these runs is drawn; the others are chosen from many
  candidates by what they would tell of the optimum (`olmix_core.planning.sequential`).

All fit diminishing returns with the usual gamma. Shapes: m atoms, d columns.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.updates import KL, Stage, World
from olmix_core.config.swarm import SwarmSampling
from olmix_core.mixture import Array
from olmix_core.planning.sequential import Objective, draw_optima, select_batch
from olmix_core.planning.swarm import SwarmSpace, sample_swarm
from olmix_core.proposal.solve import ProposalProblem, propose
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import fit_law
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.regression.prior import SwarmPrior
from olmix_core.surrogate.settings import FitSettings

LAW: dict[str, Any] = {"family": "diminishing_returns", "gamma": 0.6}
RELEASED = "dclm:software_development"
DRAWS, CANDIDATES = 32, 150  # of the adaptive swarm: optima drawn, and candidates drawn around each of two centres


@dataclass
class History:
    """The runs made so far: mixtures over atoms, BPB, and the stage at which each was made."""

    world: World
    random: np.random.Generator
    seed: int
    X: list[Array] = field(default_factory=list)
    Y: list[Array] = field(default_factory=list)
    stages: list[int] = field(default_factory=list)

    def make(self, Q: Array, stage: int) -> None:
        """Train and evaluate proxies on Q [n, m]."""
        self.X += list(Q)
        self.Y += list(self.world.run(Q, self.random))
        self.stages += [stage] * len(Q)

    def evidence(self, since: int = 0) -> SwarmData:
        chosen = [k for k, stage in enumerate(self.stages) if stage >= since]
        X, Y = np.stack([self.X[k] for k in chosen]), np.stack([self.Y[k] for k in chosen])
        return SwarmData(X, Y, tuple(f"run{k:04d}" for k in chosen), self.world.atoms, self.world.tasks)

    def pool(self) -> SwarmPrior:
        """Stages are swarms; domains before the colon are sources."""
        sources: dict[str, list[str]] = {}
        for atom in self.world.atoms:
            sources.setdefault(atom.split(":")[0], []).append(atom)
        return SwarmPrior(
            swarms={f"run{k:04d}": f"stage {stage}" for k, stage in enumerate(self.stages)},
            current=f"stage {max(self.stages)}",
            sources=tuple(tuple(atoms) for atoms in sources.values()),
        )


Strategy = Callable[[World, int], tuple[Array, int]]


def swarm(history: History, E: Array, centre: Array, count: int, stream: int) -> Array:
    """[count, m] mixtures E r around the mixture `centre` [m]; other mixtures for every seed and `stream`."""
    settings = SwarmSampling(seed=1000 * history.seed + stream)
    unbounded = np.zeros(len(centre)), np.ones(len(centre))
    return sample_swarm(count, SwarmSpace(_on_columns(E, centre), E, *unbounded), settings)


def _on_columns(E: Array, natural: Array) -> Array:
    """[d] natural weight of each column: that of the atoms in it (columns do not overlap)."""
    weights: Array = natural @ (E > 0)
    return weights / weights.sum()


def optimum(world: World, surrogate: LawSurrogate, E: Array, stage: Stage) -> Array:
    """[m] what is proposed."""
    return propose(
        surrogate, ProposalProblem(expansion=E, natural=world.natural(stage), caps=world.caps(), kl=KL)
    ).weights


def reused(world: World, stage: Stage, old: Array, released: tuple[str, ...] = ()) -> Array:
    """E: old ratios as one column (of what is still there and not affected), and what is recomputed."""
    free = {name for name in stage.domains if name in stage.affected or name in released}
    E = world.expansion(stage)
    names = list(stage.domains)
    columns = [E[:, names.index(name)] for name in names if name in free]
    kept = [E[:, names.index(name)] for name in names if name not in free]
    if not kept:
        return E
    inside = (np.sum(kept, axis=0) > 0) * old
    return np.stack([inside / inside.sum(), *columns], axis=1)


def full_recompute(c: int) -> Strategy:
    def strategy(world: World, seed: int) -> tuple[Array, int]:
        runs = sum(c * (len(stage.domains) + 1) for stage in world.stages)
        history, last = History(world, np.random.default_rng([seed, 10 + c]), seed), len(world.stages) - 1
        stage = world.stages[last]
        E = world.expansion(stage)
        history.make(swarm(history, E, world.natural(stage), c * (len(stage.domains) + 1), last), last)
        return optimum(world, fit_law(history.evidence(), FitSettings(**LAW)), E, stage), runs

    return strategy


def reuse(released: tuple[str, ...]) -> Strategy:
    def strategy(world: World, seed: int) -> tuple[Array, int]:
        history, q = History(world, np.random.default_rng([seed, 20 + len(released)]), seed), np.zeros(0)
        for number, stage in enumerate(world.stages):
            E = reused(world, stage, q, released if number == 1 else ()) if number else world.expansion(stage)
            if E.shape[1] == 1:
                q = E[:, 0]
                continue
            natural, count = world.natural(stage), 3 * (E.shape[1] + 1)
            history.make(swarm(history, E, natural, count, number), number)
            own = history.evidence(number)
            # learnt in r: each run's weights of the columns
            R = np.linalg.lstsq(E, own.X.T, rcond=None)[0].T.clip(0.0)
            columns = tuple(f"column{j}" for j in range(E.shape[1]))
            law = fit_law(
                SwarmData(R / R.sum(axis=1, keepdims=True), own.Y, own.runs, columns, own.tasks), FitSettings(**LAW)
            )
            q = _in_columns(world, law, E, natural)
        return q, len(history.X)

    return strategy


def _in_columns(world: World, law: LawSurrogate, E: Array, natural: Array) -> Array:
    """The proposal of a law over columns; a column's cap is where its first atom reaches its own."""
    with np.errstate(divide="ignore", invalid="ignore"):
        caps = np.nanmin(np.where(E > 0, world.caps()[:, None] / E, np.nan), axis=0)
    prior = _on_columns(E, natural)
    q: Array = E @ propose(law, ProposalProblem(expansion=np.eye(len(prior)), natural=prior, caps=caps, kl=KL)).weights
    return q


def swarm_reuse(world: World, seed: int) -> tuple[Array, int]:
    history, q = History(world, np.random.default_rng([seed, 30]), seed), np.zeros(0)
    for number, stage in enumerate(world.stages):
        E, natural = world.expansion(stage), world.natural(stage)
        missing = 3 * (len(stage.domains) + 1) - len(history.X)
        if missing > 0:
            history.make(swarm(history, E, natural, missing, number), number)
    q = optimum(world, fit_law(history.evidence(), FitSettings(**LAW)), E, stage)
    return q, len(history.X)


def auto(c: float, *, whole_space: bool) -> Strategy:
    def strategy(world: World, seed: int) -> tuple[Array, int]:
        history, q = History(world, np.random.default_rng([seed, 40]), seed), np.zeros(0)
        for number, stage in enumerate(world.stages):
            whole, natural = world.expansion(stage), world.natural(stage)
            E = reused(world, stage, q) if number else whole
            if E.shape[1] > 1:
                count = round(c * (E.shape[1] + 1))
                history.make(swarm(history, whole if whole_space else E, natural, count, number), number)
            q = optimum(world, fit_law(history.evidence(), FitSettings(**LAW, prior=history.pool())), whole, stage)
        return q, len(history.X)

    return strategy


def adaptive(c: float, rounds: int) -> Strategy:
    def strategy(world: World, seed: int) -> tuple[Array, int]:
        history, q = History(world, np.random.default_rng([seed, 50]), seed), np.zeros(0)
        for number, stage in enumerate(world.stages):
            whole, natural = world.expansion(stage), world.natural(stage)
            E = reused(world, stage, q) if number else whole
            count = round(c * (E.shape[1] + 1)) if E.shape[1] > 1 else 0
            sizes = [len(part) for part in np.array_split(np.arange(count), rounds)]
            if sizes[0]:
                history.make(swarm(history, whole, natural, sizes[0], number), number)
            goal = Objective(whole, natural, world.caps(), KL)
            for later, size in enumerate([*sizes[1:], 0]):
                law = fit_law(history.evidence(), FitSettings(**LAW, prior=history.pool()))
                q = optimum(world, law, whole, stage)
                if not size:
                    break
                found = draw_optima(law, goal, q, draws=DRAWS, seed=seed)
                stream = 100 * (later + 1) + number
                drawn = [swarm(history, whole, centre, CANDIDATES, stream) for centre in (natural, q)]
                candidates = np.vstack([*drawn, found.samples])
                history.make(candidates[select_batch(law, found, candidates, size, goal)], number)
        return q, len(history.X)

    return strategy
