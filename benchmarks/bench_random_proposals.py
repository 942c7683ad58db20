"""Random proposals, drawn as those of the released swarms are: none may be refused, and each has its certificate.

Laws are fitted to 16 to 256 runs of the swarms of 24 and 64 domains, over 8 to 128 leaves (domains joined at random, or
each split in two), with ridges over four decades. Problems have KL 0 to 0.5, caps of 1 to 16 epochs, bounds, groups,
frozen ratios, and natural shares over up to ten decades. The certificate is computed here a second time, from the duals
of a linear program and an exact tangent.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from benchmarks.report import table, write
from benchmarks.swarms import load
from olmix_core.errors import OlmixError
from olmix_core.mixture import Array
from olmix_core.proposal.constraints import Groups, feasible_set, linear_program
from olmix_core.proposal.convex import OPTIMAL
from olmix_core.proposal.interior_point import refine
from olmix_core.proposal.objective import Program
from olmix_core.proposal.solve import Proposal, ProposalProblem, propose
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import fit_law
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.settings import FitSettings

LEAVES = (8, 16, 24, 48, 64, 96, 128)
KL = (0.0, 0.005, 0.02, 0.05, 0.05, 0.2, 0.5)
EPOCHS = (1.0, 1.5, 2.0, 4.0, 16.0)
GAMMAS = (0.4, 0.6, 0.7, 0.8, 1.0)
FLOORS = (1e-16, 1e-14, 1e-12, 1e-10, 1e-8)
TASKS = 8  # of each fit, drawn from 52


def random_law(random: np.random.Generator, swarm: SwarmData) -> LawSurrogate:
    """A law fitted to some runs, tasks and joined or split domains of a swarm."""
    runs, domains = swarm.X.shape
    count = int(np.exp(random.uniform(np.log(16), np.log(runs + 1))))
    rows = random.permutation(runs)[:count]
    columns = random.permutation(len(swarm.tasks))[:TASKS]
    m = int(random.choice([size for size in LEAVES if size <= 2 * domains]))
    if m <= domains:
        into = np.concatenate([np.arange(m), random.integers(0, m, domains - m)])
        X = swarm.X[rows] @ np.eye(m)[random.permutation(into)]
    else:
        split = random.permutation(domains)[: m - domains]
        share = np.ones(domains)
        share[split] = random.uniform(0.05, 0.95, len(split))
        X = np.hstack([swarm.X[rows] * share, swarm.X[np.ix_(rows, split)] * (1 - share[split])])
    chosen = SwarmData(
        X=X,
        Y=swarm.Y[np.ix_(rows, columns)],
        runs=tuple(swarm.runs[k] for k in rows),
        leaves=tuple(f"leaf{j:03d}" for j in range(m)),
        tasks=tuple(swarm.tasks[t] for t in columns),
    )
    linear = random.random() < 0.3
    return fit_law(
        chosen,
        FitSettings(
            family="log_linear" if linear else "diminishing_returns",
            gamma=None if linear else float(random.choice(GAMMAS)),
            ridge=float(10 ** random.uniform(-6, -2)),
        ),
    )


def draw(random: np.random.Generator, surrogate: LawSurrogate) -> ProposalProblem:
    """A feasible problem for a law: its limits lie around a mixture inside them."""
    m, tasks = len(surrogate.leaves), len(surrogate.tasks)
    natural = 10 ** random.uniform(0, random.choice([1.0, 3.0, 6.0, 10.0]), m)
    natural /= natural.sum()
    expansion = np.eye(m)
    if random.random() < 0.3:
        frozen = int(random.integers(2, m))
        together = np.zeros(m)
        together[:frozen] = natural[:frozen] / natural[:frozen].sum()
        expansion = np.column_stack([together, expansion[:, frozen:]])
    caps = np.full(m, np.inf) if random.random() < 0.3 else random.choice(EPOCHS) * natural
    inside = natural
    lower, upper, groups = None, None, None
    if random.random() < 0.3:
        lower = np.where(random.random(m) < 0.2, inside * random.uniform(0, 1, m), 0.0)
        upper = np.where(random.random(m) < 0.2, inside * random.uniform(1, 5, m), np.inf)
    if random.random() < 0.3:
        members = (random.random((3, m)) < 0.3).astype(float)
        held = members @ inside
        groups = Groups(("a", "b", "c"), members, held * random.uniform(0, 1, 3), held * random.uniform(1, 3, 3))
    return ProposalProblem(
        expansion=expansion,
        natural=natural,
        caps=caps,
        kl=float(random.choice(KL)),
        task_weights=random.dirichlet(np.ones(tasks)) if random.random() < 0.3 else None,
        lower=lower,
        upper=upper,
        groups=groups,
    )


def _tangents(surrogate: LawSurrogate, problem: ProposalProblem, q: Array) -> tuple[float, Array]:
    """Value and gradient [m] of the objective at q > 0, from the formula of the law."""
    law, p = surrogate.law, surrogate.parameters
    weights = np.ones(len(p.c)) if problem.task_weights is None else problem.task_weights
    weights = weights / weights.sum()
    gamma = np.array(law.powers(len(p.c)))[:, None]
    sign = 1.0 if law.gamma is None else -1.0
    level = np.exp(p.b + sign * np.sum(p.v * q**gamma, axis=1))
    value = weights @ (p.c + level) + problem.kl * (q @ np.log(q / problem.natural))
    gradient = (weights * level) @ (sign * gamma * p.v * q ** (gamma - 1))
    return float(value), gradient + problem.kl * (np.log(q / problem.natural) + 1)


def sound_gap(surrogate: LawSurrogate, problem: ProposalProblem, proposal: Proposal) -> float:
    """A bound on what a better mixture gains over the published weights, by weak duality from exact tangents.

    A tangent anywhere is a bound; the best is taken of those at the weights, raised to several floors, and at the
    solution of the interior-point method.
    """
    E = problem.expansion
    limits = feasible_set(E, problem.caps, problem.lower, problem.upper, problem.groups)
    bounded, raised = np.isfinite(limits.upper), limits.lower > 0
    A = np.vstack([limits.matrix[bounded], -limits.matrix[raised]])
    h = np.concatenate([limits.upper[bounded], -limits.lower[raised]])
    largest = np.where(A.any(axis=1), np.abs(A).max(axis=1), 1.0)
    A, h = A / largest[:, None], h / largest
    reached, _ = _tangents(surrogate, problem, np.maximum(proposal.weights, 1e-300))
    tasks = len(surrogate.tasks)
    weights = np.full(tasks, 1 / tasks) if problem.task_weights is None else problem.task_weights
    refined = E @ refine(Program(surrogate, weights, problem.natural, problem.kl, 0.0, limits))
    gaps = []
    for point in (np.maximum(refined, 1e-300), *(np.maximum(proposal.weights, floor) for floor in FLOORS)):
        value, gradient = _tangents(surrogate, problem, point)
        slopes = gradient @ E
        solution = linear_program(slopes, A_ub=A, b_ub=h, A_eq=np.ones((1, E.shape[1])), b_eq=[1.0])
        if solution.success:
            prices = np.maximum(0.0, -np.asarray(solution.ineqlin.marginals))
            least = (slopes + prices @ A).min() - prices @ h
            gaps.append(reached - (value - gradient @ point + least))
    return float(min(gaps, default=np.inf))


@dataclass
class Figures:
    """What is counted over all problems; times in seconds, gaps in BPB."""

    statuses: Counter[str] = field(default_factory=Counter)
    gaps: list[float] = field(default_factory=list)
    gaps_here: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def solve(self, name: str, surrogate: LawSurrogate, problem: ProposalProblem) -> None:
        """Solve a problem; one that is not proved within 1e-6 BPB is printed."""
        begin = time.perf_counter()
        try:
            proposal = propose(surrogate, problem)
        except OlmixError as error:
            self.statuses["refused"] += 1
            print(f"{name}: {error}", flush=True)
            return
        self.seconds.append(time.perf_counter() - begin)
        self.statuses[proposal.status] += 1
        self.gaps.append(np.inf if proposal.gap is None else proposal.gap)
        self.gaps_here.append(sound_gap(surrogate, problem, proposal))
        if proposal.status != OPTIMAL or max(self.gaps[-1], self.gaps_here[-1]) > 1e-6:
            print(f"{name}: {proposal.status}, {self.gaps[-1]:.2g}, here {self.gaps_here[-1]:.2g}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--laws", type=int, default=100)
    parser.add_argument("--problems", type=int, default=20, help="problems drawn for each law")
    parser.add_argument("--first", type=int, default=0, help="index of the first law, to look at some of them")
    options = parser.parse_args()
    swarms = [load("dclm24"), load("all64")]
    figures, fit_seconds = Figures(), 0.0
    for law in range(options.first, options.first + options.laws):
        random = np.random.default_rng([0, law])
        begin = time.perf_counter()
        surrogate = random_law(random, swarms[int(random.random() < 0.7)])
        fit_seconds += time.perf_counter() - begin
        print(f"law {law}: {len(surrogate.leaves)} leaves, {surrogate.family}", flush=True)
        for index in range(options.problems):
            figures.solve(f"law {law}, problem {index}", surrogate, draw(random, surrogate))
    problems = options.laws * options.problems
    rows = {
        "problems": problems,
        "laws": options.laws,
        "refused": figures.statuses["refused"],
        "not_proved": problems - figures.statuses["refused"] - figures.statuses[OPTIMAL],
        "largest_gap": max(figures.gaps),
        "largest_gap_computed_here": max(figures.gaps_here),
        "median_seconds": float(np.median(figures.seconds)),
        "slowest_seconds": max(figures.seconds),
        "seconds": sum(figures.seconds),
        "fit_seconds": fit_seconds,
    }
    table(("", "random problems"), list(rows.items()))
    if not options.first:
        write("random_proposals", rows)


if __name__ == "__main__":
    main()
