"""The proposal against independent solvers, side by side in one run: time, and who is lower.

Synthetic laws over 64 leaves and 52 tasks with caps and bounds, and those fitted to the released swarm of 64 domains.
References: SLSQP and trust-constr of scipy on the same convex problem in leaf weights, from the natural mixture made
feasible, with exact gradients; a difference below zero means that ours is lower.
"""

import os
from collections.abc import Callable

from olmix_core.surrogate.test_problems import Problem

os.environ.setdefault("OMP_NUM_THREADS", "1")

import json
import time
from typing import Any

import numpy as np
from scipy.optimize import LinearConstraint, minimize

from benchmarks.report import table, write
from benchmarks.swarms import SWARMS, load
from olmix_core.mixture import Array
from olmix_core.proposal.constraints import feasible_set
from olmix_core.proposal.objective import Program
from olmix_core.proposal.solve import ProposalProblem, propose
from olmix_core.surrogate.fit import fit
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.test_problems import diminishing_returns, log_linear

REPEATS = 5


def case(name: str) -> tuple[Any, Array, Array, Array]:
    """A surrogate, its natural mixture, caps and lower bounds [64]."""
    if name == "all64":
        evidence, facts = load("all64"), json.loads((SWARMS / "facts.json").read_text())
        tokens = np.array([facts["all64"]["token_counts"][leaf] for leaf in evidence.leaves], dtype=float)
        surrogate = fit(evidence, FitSettings(family="diminishing_returns"))
        caps = facts["repetition_factor"] * tokens / facts["target_tokens"]
        return surrogate, tokens / tokens.sum(), caps, np.zeros(64)
    makers: dict[str, Callable[..., Problem]] = {"log_linear": log_linear, "diminishing_returns": diminishing_returns}
    problem = makers[name](64, 52).with_noise(0.01)
    surrogate = fit(problem.evidence(260, seed=0), FitSettings(family=name))
    return surrogate, problem.natural, np.full(64, 0.04), np.where(np.arange(64) % 8 == 0, 0.005, 0.0)


def side_by_side(name: str) -> dict[str, float | str]:
    surrogate, natural, caps, lower = case(name)
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        found = propose(surrogate, ProposalProblem(expansion=np.eye(64), natural=natural, caps=caps, lower=lower))
        times.append(time.perf_counter() - begin)
    program = Program(
        surrogate=surrogate,
        task_weights=np.full(52, 1 / 52),
        reference=natural,
        kl=0.05,
        pessimism=0.0,
        feasible=feasible_set(np.eye(64), caps, lower, None),
    )
    ours = program.value(found.weights)
    row: dict[str, float | str] = {
        "problem": name,
        "ours_s": float(np.median(times)),
        "gap": float(found.gap or 0.0),
        "residual": found.residual,
    }
    room = np.minimum(caps, 1.0)
    start = lower + (1 - lower.sum()) * (room - lower) / (room - lower).sum()
    for method in ("SLSQP", "trust-constr"):
        begin = time.perf_counter()
        other = minimize(
            program.value,
            start,
            jac=program.slope,
            method=method,
            bounds=list(zip(np.maximum(lower, 1e-12), room, strict=True)),
            constraints=[LinearConstraint(np.ones((1, 64)), 1.0, 1.0)],
            options={"maxiter": 2000},
        )
        row[f"{method}_s"] = time.perf_counter() - begin
        row[f"ours_minus_{method}"] = ours - program.value(program.feasible.project(other.x))
    return row


def main() -> None:
    names = ["log_linear", "diminishing_returns", *(["all64"] if SWARMS.exists() else [])]
    rows = [side_by_side(name) for name in names]
    print("64 leaves, 52 tasks, caps and bounds; times in seconds, differences of the objective in BPB")
    columns = list(zip(*(row.values() for row in rows), strict=True))
    table(("", *map(str, columns[0])), [(key, *values) for key, values in zip(rows[0], columns, strict=True)][1:])
    write("proposal", {"side_by_side": rows})


if __name__ == "__main__":
    main()
