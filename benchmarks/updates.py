"""The five updates of the paper as a simulation with real swarms behind it.

The domain set grows as in the paper's case study (arXiv 2602.12237, section 5): DCLM by topic, then

    1  add the languages of stack-edu        4  remove algebraicstack
    2  add six sources, PDFs as one of them  5  partition the PDFs by topic
    3  revise the PDFs

A *truth* is a model fitted to all runs of the released 64-domain swarm (see `truths`). A simulated proxy is the truth
at its mixture plus the residuals of one real run, drawn at random, so that tasks err together as they do: those that
the closest of the models leaves, made larger by what its parameters took out of them. Two domains are in none of the
released runs and act as mixtures of those that are: algebraicstack as half finemath-3plus, half stack-edu:Python, and
the PDFs before their revision as the PDFs with a part of DCLM in them. Tokens are those of the 64 domains; the paper's
own for algebraicstack and the old PDFs.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from benchmarks.swarms import SWARMS, load
from benchmarks.truths import TRUTHS, noise_of_runs
from olmix_core.mixture import Array

ALGEBRA, OLD_PDF, PDF = "algebraicstack", "s2pdfv2", "s2pdf"
ALGEBRA_TOKENS, OLD_PDF_TOKENS = 11_818_955_329, 1_034_238_607_178
WEB_IN_OLD_PDF = 0.15  # share of DCLM text that the unrevised PDFs act as
TARGET_TOKENS, REPETITION, KL = 1e12, 4.0, 0.05


@dataclass(frozen=True)
class Stage:
    """The domains after one update: {domain: {atom: share}}, the atoms being the 64 leaves and the two extra ones.

    affected: domains that are new, revised or parts of an old one.
    """

    name: str
    domains: Mapping[str, Mapping[str, float]]
    affected: tuple[str, ...]


@dataclass(frozen=True)
class World:
    """atoms [m] and their tokens [m]; stages; bpb(Q [n, m]) -> [n, T], the truth; residuals [K, T] of real runs."""

    atoms: tuple[str, ...]
    tokens: Array
    stages: tuple[Stage, ...]
    tasks: tuple[str, ...]
    bpb: Callable[[Array], Array]
    residuals: Array

    def expansion(self, stage: Stage) -> Array:
        """[m, domains] each domain over atoms."""
        row = {atom: j for j, atom in enumerate(self.atoms)}
        E = np.zeros((len(self.atoms), len(stage.domains)))
        for column, parts in enumerate(stage.domains.values()):
            for atom, share in parts.items():
                E[row[atom], column] = share
        return E

    def natural(self, stage: Stage) -> Array:
        """[m] token shares of the atoms that the stage has."""
        there = self.expansion(stage).sum(axis=1) > 0
        shares: Array = np.where(there, self.tokens, 0.0)
        return shares / shares.sum()

    def caps(self) -> Array:
        return np.asarray(REPETITION / TARGET_TOKENS * self.tokens)

    def run(self, Q: Array, random: np.random.Generator) -> Array:
        """Measured BPB [n, T] of proxies on Q [n, m]."""
        drawn = random.integers(len(self.residuals), size=len(Q))
        return np.maximum(self.bpb(Q) + self.residuals[drawn], 1e-3)


def world(truth: str, every: int = 1) -> World:
    """The simulation with one of TRUTHS behind it, on each `every`-th task."""
    swarm = load("all64")
    swarm = swarm.some_tasks(np.arange(0, len(swarm.tasks), every))
    facts = json.loads((SWARMS / "facts.json").read_text())
    counts = facts["all64"]["token_counts"]
    atoms = (*swarm.leaves, ALGEBRA, OLD_PDF)
    tokens = np.array([*(counts[leaf] for leaf in swarm.leaves), ALGEBRA_TOKENS, OLD_PDF_TOKENS], dtype=float)
    acts_as = np.eye(len(swarm.leaves), len(atoms)).T  # [atoms, leaves]
    of = {leaf: j for j, leaf in enumerate(swarm.leaves)}
    acts_as[-2, [of["finemath-3plus"], of["stack-edu:Python"]]] = 0.5
    for source, share in (("dclm", WEB_IN_OLD_PDF), (PDF, 1 - WEB_IN_OLD_PDF)):
        inside = np.array([counts[leaf] if leaf.startswith(f"{source}:") else 0.0 for leaf in swarm.leaves])
        acts_as[-1] += share * inside / inside.sum()
    predict = TRUTHS[truth](swarm)
    return World(
        atoms=atoms,
        tokens=tokens,
        stages=_stages(swarm.leaves, counts),
        tasks=swarm.tasks,
        bpb=lambda Q: np.maximum(predict(Q @ acts_as), 1e-3),
        residuals=noise_of_runs(swarm),
    )


def _stages(leaves: tuple[str, ...], counts: Mapping[str, float]) -> tuple[Stage, ...]:
    def by_itself(*names: str) -> dict[str, dict[str, float]]:
        return {name: {name: 1.0} for name in names}

    web = [leaf for leaf in leaves if leaf.startswith("dclm:")]
    code = [leaf for leaf in leaves if leaf.startswith("stack-edu:")]
    topics = [leaf for leaf in leaves if leaf.startswith(f"{PDF}:")]
    others = [leaf for leaf in leaves if ":" not in leaf]
    total = sum(counts[leaf] for leaf in topics)
    pdf = {PDF: {leaf: counts[leaf] / total for leaf in topics}}
    start = by_itself(*web)
    added = start | by_itself(*code)
    more = added | by_itself(ALGEBRA, *others, OLD_PDF)
    kept = added | by_itself(*others)
    return (
        Stage("start", start, tuple(start)),
        Stage("add stack-edu", added, tuple(code)),
        Stage("add six sources", more, (ALGEBRA, *others, OLD_PDF)),
        Stage("revise PDFs", kept | by_itself(ALGEBRA) | pdf, (PDF,)),
        Stage("remove algebraicstack", kept | pdf, ()),
        Stage("partition PDFs", kept | by_itself(*topics), tuple(topics)),
    )


def best(world: World) -> Array:
    """[m] the mixture that who knew the truth would propose after the last update: least mean BPB + KL within caps."""
    stage = world.stages[-1]
    E, natural = world.expansion(stage), world.natural(stage)
    E_natural, caps = natural @ E, world.caps() @ E

    def loss(Q: Array) -> Array:
        divergence = np.sum(np.where(Q > 0, Q * np.log(np.maximum(Q, 1e-300) / E_natural), 0.0), axis=1)
        return np.asarray(world.bpb(Q @ E.T).mean(axis=1) + KL * divergence)

    def slope(q: Array) -> Array:
        """By differences: one call for all leaves."""
        h = 1e-6
        return (loss(q + h * np.eye(len(q))) - loss(q[None])) / h

    # The stubs of SciPy know neither this form of a Jacobian nor these options.
    settings: dict[str, Any] = {
        "jac": slope,
        "method": "SLSQP",
        "bounds": [(1e-9, min(1.0, cap)) for cap in caps],
        "constraints": [{"type": "eq", "fun": lambda q: q.sum() - 1.0, "jac": np.ones_like}],
        "options": {"maxiter": 500, "ftol": 1e-10},
    }

    def loss_of_one(q: Array) -> float:
        return float(loss(q[None])[0])

    found = minimize(
        loss_of_one,
        np.minimum(E_natural, caps) / np.minimum(E_natural, caps).sum(),
        **settings,
    )
    q: Array = E @ (found.x / found.x.sum())
    return q
