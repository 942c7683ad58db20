"""What a proposal is worth, and whether its interval says so: simulated studies on the paper's 64-domain swarm.

A study draws mixtures of the swarm, measures them with a truth (`truths`) and the residuals of real runs, fits a law
and proposes a mixture, for the mean of all tasks and for a single one (KL 0.05, four epochs in a run of 1e12 tokens).
Then natural and the proposal are measured anew. Natural is the mean of the swarm's mixtures, around which a swarm is
drawn; the token shares of these domains lie far outside (52 % PDFs for 20 %). For each cell:

- predicted, true: mean predicted and true gain over natural, in BPB, and their ratio;
- inside, below: how often the measured gain lies inside its 90 % interval, and below it;
- width: mean width of the interval as a multiple of that of an oracle who knows the noise.

    make bench-optimum        (an hour on one core)
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import time
from dataclasses import dataclass

import numpy as np

from benchmarks.bench_shared_prior import related
from benchmarks.report import table, write
from benchmarks.swarms import SWARMS, load
from benchmarks.truths import TRUTHS, Truth, noise_of_runs
from olmix_core.mixture import Array
from olmix_core.proposal.solve import ProposalProblem, propose
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import fit
from olmix_core.surrogate.intervals import NORMAL_90, interval
from olmix_core.surrogate.settings import FitSettings

KL, REPETITION, TARGET_TOKENS = 0.05, 4.0, 1e12
MEASUREMENTS = 20  # of each pair of mixtures
COLUMNS = ("predicted", "true", "ratio", "inside", "below", "width")


@dataclass(frozen=True)
class World:
    """The mixtures of a swarm, a truth of their BPB, and the residuals [K, T] of runs around it."""

    swarm: SwarmData
    truth: Truth
    residuals: Array
    natural: Array
    caps: Array

    def measure(self, Q: Array, random: np.random.Generator) -> Array:
        """BPB [n, T] of proxies."""
        drawn = random.integers(len(self.residuals), size=len(Q))
        return np.maximum(self.truth(Q) + self.residuals[drawn], 1e-3)

    def study(self, count: int, family: str, random: np.random.Generator) -> dict[str, Array]:
        """{wish: predicted gain, true gain, shares of measured gains inside and below, width, width of the oracle}."""
        rows = random.permutation(len(self.swarm.runs))[:count]
        drawn = self.swarm.rows(rows)
        evidence = SwarmData(drawn.X, self.measure(drawn.X, random), drawn.runs, drawn.leaves, drawn.tasks)
        surrogate = fit(evidence, FitSettings(family=family, prior=related(evidence)))
        single = np.eye(len(evidence.tasks))[random.integers(len(evidence.tasks))]
        return {
            wish: self.judge(surrogate, weights, random)
            for wish, weights in (("mean", np.full(len(single), 1 / len(single))), ("one task", single))
        }

    def judge(self, surrogate: Surrogate, weights: Array, random: np.random.Generator) -> Array:
        """The figures of one wish [T]."""
        problem = ProposalProblem(np.eye(len(self.natural)), self.natural, self.caps, KL, task_weights=weights)
        q = propose(surrogate, problem).weights
        predicted = interval(surrogate, q, weights, self.natural)
        pair = np.array([self.natural, q])
        natural, proposed = self.truth(pair) @ weights
        noise = self.residuals @ weights
        drawn = random.integers(len(noise), size=(2, MEASUREMENTS))
        measured = natural - proposed + noise[drawn[0]] - noise[drawn[1]]
        inside = np.mean((measured >= predicted.low) & (measured <= predicted.high))
        oracle = 2 * NORMAL_90 * np.sqrt(2) * noise.std()
        width = predicted.high - predicted.low
        return np.array([predicted.bpb, natural - proposed, inside, np.mean(measured < predicted.low), width, oracle])


def world(name: str) -> World:
    """The 64-domain swarm under one of TRUTHS."""
    swarm = load("all64")
    counts = json.loads((SWARMS / "facts.json").read_text())["all64"]["token_counts"]
    tokens = np.array([counts[leaf] for leaf in swarm.leaves], dtype=float)
    return World(
        swarm=swarm,
        truth=TRUTHS[name](swarm),
        residuals=noise_of_runs(swarm),
        natural=swarm.X.mean(axis=0),
        caps=REPETITION / TARGET_TOKENS * tokens,
    )


def summary(figures: Array) -> list[float]:
    """COLUMNS of the studies [n, 6] of a cell."""
    predicted, true, inside, below, width, oracle = figures.mean(axis=0)
    return [predicted, true, predicted / true, inside, below, width / oracle]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--runs", type=int, nargs="*", default=[33, 65, 130])
    parser.add_argument("--truths", nargs="*", choices=TRUTHS, default=list(TRUTHS)[1:])
    parser.add_argument("--families", nargs="*", default=["shared_prior"])
    arguments = parser.parse_args()
    if not SWARMS.exists():
        raise SystemExit(f"{SWARMS} is missing; expected the released swarms")
    began, rows = time.time(), []
    for name in arguments.truths:
        simulated = world(name)
        for family in arguments.families:
            for count in arguments.runs:
                studies = [
                    simulated.study(count, family, np.random.default_rng([seed, count]))
                    for seed in range(arguments.studies)
                ]
                for wish in ("mean", "one task"):
                    rows.append((name, family, count, wish, *summary(np.array([one[wish] for one in studies]))))
                    table(("truth", "family", "runs", "wish", *COLUMNS), rows[-1:])
    table(("truth", "family", "runs", "wish", *COLUMNS), rows)
    header = ("truth", "family", "runs", "wish", *COLUMNS)
    write(
        "optimum",
        {
            "studies": arguments.studies,
            "seconds": time.time() - began,
            "cells": [dict(zip(header, row, strict=True)) for row in rows],
        },
    )


if __name__ == "__main__":
    main()
