"""Batched fit against the published procedure, side by side in one run, and how the fit grows.

The law, the loss and the 300 starts are those of Olmix (arXiv 2602.12237): per task, L-BFGS on the Huber loss (delta
0.02) of exp(log c) + exp(A . q), the best of 300 starts kept. Two references, written here from that description:

- published: torch's L-BFGS in single precision with gradients by automatic differentiation, as the method is run in
  practice (memory 10, strong Wolfe line search, 20 rounds of 20 iterations, 10 levels of log c from -2 to 1.5 times 30
  random A);
- exact: the same starts for scipy's L-BFGS in double precision with gradients in closed form, which is kind to it. Its
  losses are what ours are compared with.

Both are timed on some tasks and starts, on one core as ours is, and scaled up to all of them; times are those of the
processor, so that what else a machine does is left out. Ours solves the same
objective (log-linear, no ridge) for all tasks; and once more with what `fit` does by default, ridges chosen per task.
"""

import os
from typing import Any

from olmix_core.surrogate.law_surrogate import LawSurrogate

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import minimize

from benchmarks.report import table, write
from benchmarks.swarms import NAMES, SWARMS, load
from olmix_core.mixture import Array
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import fit
from olmix_core.surrogate.settings import FitSettings
from olmix_core.surrogate.test_problems import log_linear

DELTA = 0.02
STARTS = 300


def starts(leaves: int, count: int, seed: int) -> Array:
    """`count` of the 300 starts [count, 1 + leaves], spread evenly over them: (log c, A)."""
    random = np.random.default_rng(seed)
    levels = np.repeat(np.linspace(-2.0, 1.5, 10), STARTS // 10)
    everything = np.column_stack([levels, random.uniform(-1.0, 1.0, (STARTS, leaves))])
    return everything[np.linspace(0, STARTS - 1, count).astype(int)]


def exact(X: Array, y: Array, points: Array) -> float:
    """Least mean Huber loss that scipy's L-BFGS reaches from `points`."""

    def loss(theta: Array) -> tuple[float, Array]:
        c, decay = np.exp(theta[0]), np.exp(np.minimum(X @ theta[1:], 50.0))
        r = c + decay - y
        pull = np.clip(r, -DELTA, DELTA) / len(y)
        size = np.abs(r)
        huber = np.where(size <= DELTA, 0.5 * r**2, DELTA * (size - 0.5 * DELTA))
        return float(huber.mean()), np.concatenate([[c * pull.sum()], X.T @ (pull * decay)])

    settings: Any = {"maxiter": 5000, "maxfun": 10_000, "ftol": 1e-13, "gtol": 1e-9}
    return min(float(minimize(loss, p, jac=True, method="L-BFGS-B", options=settings).fun) for p in points)


def published(X: Array, y: Array, points: Array) -> float:
    """Least mean Huber loss that torch's L-BFGS reaches from `points`."""
    inputs, target = torch.tensor(X, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    least = np.inf
    for point in points:
        theta = torch.nn.Parameter(torch.tensor(point, dtype=torch.float32))
        optimizer = torch.optim.LBFGS([theta], lr=0.01, history_size=10, max_iter=20, line_search_fn="strong_wolfe")

        def closure(theta: torch.Tensor = theta, optimizer: torch.optim.LBFGS = optimizer) -> torch.Tensor:
            optimizer.zero_grad()
            predicted = theta[0].exp() + (inputs @ theta[1:]).exp()
            loss = torch.nn.functional.huber_loss(predicted, target, delta=DELTA, reduction="sum")
            loss.backward()
            return loss

        last = np.inf
        for _ in range(20):
            optimizer.step(closure)
            with torch.no_grad():
                predicted = theta[0].exp() + (inputs @ theta[1:]).exp()
                loss = float(torch.nn.functional.huber_loss(predicted, target, delta=DELTA))
            least = min(least, loss)
            if loss == last:
                break
            last = loss
    return least


def seconds(evidence: SwarmData, repeats: int = 3, **settings: Any) -> tuple[float, Array]:
    """Median processor time of a fit, and its loss [T]."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        surrogate = fit(evidence, FitSettings(**settings))
        times.append(time.process_time() - start)
    assert isinstance(surrogate, LawSurrogate)
    return float(np.median(times)), surrogate.loss


def reference(
    solve: Callable[[Array, Array, Array], float], evidence: SwarmData, tasks: list[int], count: int
) -> tuple[float, Array]:
    """Seconds scaled up to all tasks and starts, and the losses on `tasks` from `count` starts."""
    begin = time.process_time()
    losses = [solve(evidence.X, evidence.Y[:, t], starts(evidence.X.shape[1], count, seed=t)) for t in tasks]
    share = len(tasks) / len(evidence.tasks) * count / STARTS
    return (time.process_time() - begin) / share, np.array(losses)


def side_by_side(name: str, sample: int, timed_starts: int) -> dict[str, float | str | int]:
    """All procedures on one swarm."""
    evidence = load(name)
    runs, leaves = evidence.X.shape
    ours, loss = seconds(evidence, family="log_linear", ridge=0.0)
    default, _ = seconds(evidence, repeats=1, family="log_linear")
    tasks = [int(t) for t in np.linspace(0, len(evidence.tasks) - 1, sample)]
    published_s, published_loss = reference(published, evidence, tasks, timed_starts)
    exact_s, exact_loss = reference(exact, evidence, tasks, STARTS)
    return {
        "swarm": name,
        "runs": runs,
        "leaves": leaves,
        "tasks": len(evidence.tasks),
        "ours_s": ours,
        "ours_default_s": default,
        "published_s": published_s,
        "exact_s": exact_s,
        "times_faster": published_s / ours,
        "times_faster_default": published_s / default,
        "times_faster_than_exact": exact_s / ours,
        "worst_loss_to_exact": float(np.max(loss[tasks] / exact_loss)),
        "mean_loss_to_exact": float(np.mean(loss[tasks] / exact_loss)),
        "mean_loss_to_published": float(np.mean(loss[tasks] / published_loss)),
        "sampled_tasks": sample,
        "published_starts_timed": timed_starts,
    }


def growth() -> list[dict[str, float | int]]:
    """Time of the batched fit as runs, leaves and tasks grow, one at a time, on a synthetic swarm."""
    rows = []
    base = {"runs": 128, "leaves": 32, "tasks": 32}
    for axis, values in {"runs": (64, 256, 1024), "leaves": (16, 64, 128), "tasks": (16, 64, 256)}.items():
        for value in values:
            size = {**base, axis: value}
            problem = log_linear(size["leaves"], size["tasks"]).with_noise(0.02)
            evidence = problem.evidence(size["runs"], seed=0)
            rows.append({**size, "ours_s": seconds(evidence, repeats=1, family="log_linear", ridge=1e-5)[0]})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=4, help="tasks on which the references are timed")
    parser.add_argument("--starts", type=int, default=30, help="of 300 starts, how many the slow reference is timed on")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    if SWARMS.exists():
        results = [side_by_side(name, arguments.sample, arguments.starts) for name in NAMES]
        print("All tasks, log-linear law, no ridge; the references are scaled up from what was timed.")
        columns = list(zip(*(row.values() for row in results), strict=True))
        table(("", *columns[0]), [(key, *values) for key, values in zip(results[0], columns, strict=True)][1:])
    else:
        print("The released swarms are not in ../shared/swarms: only the growth is measured.")
    rows = growth()
    print("Growth of the batched fit (ridge 1e-5, synthetic swarms)")
    table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    write("fit", {"side_by_side": results, "growth": rows})


if __name__ == "__main__":
    main()
