"""Does a proposal gain what was predicted? Real text, real proxies: the quickstart's domains and the recipe `tiny`.

A swarm is trained and a law fitted to it. Then a mixture is proposed for each of many wishes: one task alone, or all
tasks with random weights. Proxies are trained on the proposals and on the natural mixture, with a seed that the swarm
has not seen. Per wish: the predicted gain over natural with its 90 % interval, and the gain measured. A proposal lies
where the law says that BPB is least, at the edge of what the swarm saw or beyond: an interval that holds on runs left
out of the fit may fail there.

    make bench-gain        (3 swarms, 126 proxies; about a quarter of an hour on two free cores)
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks import report
from benchmarks.laboratory import QUICKSTART, Laboratory, tasks_of
from olmix_core.config.defaults import default_runs
from olmix_core.mixture import Array
from olmix_core.proposal.solve import ProposalProblem, propose
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import fit
from olmix_core.surrogate.intervals import NORMAL_90, interval

SEED, UNSEEN_SEED = 0, 1
REPETITION = 4.0  # for a run over as many tokens as there are


def wishes(tasks: int, random: int) -> Array:
    """[tasks + random, T] task weights: each task alone, then random ones."""
    return np.vstack([np.eye(tasks), np.random.default_rng(0).dirichlet(np.ones(tasks), size=random)])


def proposals(law: Surrogate, text: Laboratory, asked: Array) -> Array:
    """[wishes, m] what is proposed for each row of task weights `asked`."""
    caps = REPETITION * text.tokens / text.tokens.sum()
    one = np.eye(len(text.leaves))
    return np.array(
        [
            propose(law, ProposalProblem(expansion=one, natural=text.natural, caps=caps, task_weights=row)).weights
            for row in asked
        ]
    )


def compared(law: Surrogate, text: Laboratory, asked: Array, mixtures: Array, bpb: Array) -> list[dict[str, Any]]:
    """A row per wish; bpb [wishes + 1, T] as measured, that of natural last."""
    rows = []
    for number, (weights, q) in enumerate(zip(asked, mixtures, strict=True)):
        gain, level = interval(law, q, weights, text.natural), interval(law, q, weights)
        measured, natural = float(bpb[number] @ weights), float(bpb[-1] @ weights)
        by_law = NORMAL_90 * law.objective_std(q, weights, text.natural)
        alone = number < len(text.tasks)
        rows.append(
            {
                "wish": text.tasks[number] if alone else f"random {number - len(text.tasks) + 1}",
                "predicted gain": gain.bpb,
                "low": gain.low,
                "high": gain.high,
                "measured gain": natural - measured,
                "within": gain.low <= natural - measured <= gain.high,
                "within law's error": abs(natural - measured - gain.bpb) <= by_law,
                "predicted BPB": level.bpb,
                "measured BPB": measured,
                "BPB within": level.low <= measured <= level.high,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--swarms", type=int, default=3)
    parser.add_argument("--runs", type=int, help="of each swarm; 3 (d + 1) by default")
    parser.add_argument("--random", type=int, default=8, help="wishes with random task weights")
    parser.add_argument("--config", type=Path, default=QUICKSTART / "mix.yaml", help="whose domains")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        text = Laboratory(folder, arguments.config, tasks_of(None, 0), {})
        asked = wishes(len(text.tasks), arguments.random)
        runs = arguments.runs or default_runs(len(text.leaves))
        for swarm in range(arguments.swarms):
            drawn = text.swarm(runs, seed=swarm)
            bpb, _ = text.measure(drawn, [SEED])
            names = tuple(f"{number:03d}" for number in range(runs))
            law = fit(SwarmData(drawn, bpb[:, 0], names, text.leaves, text.tasks))
            mixtures = proposals(law, text, asked)
            measured, _ = text.measure(np.vstack([mixtures, text.natural]), [UNSEEN_SEED])
            rows += [{"swarm": swarm, **row} for row in compared(law, text, asked, mixtures, measured[:, 0])]
    report.table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    predicted, measured_gain = (np.array([row[name] for row in rows]) for name in ("predicted gain", "measured gain"))
    figures = {
        "gains within their interval": float(np.mean([row["within"] for row in rows])),
        "gains within the error of the law alone": float(np.mean([row["within law's error"] for row in rows])),
        "BPB within their interval": float(np.mean([row["BPB within"] for row in rows])),
        "measured over predicted gain": float(measured_gain.sum() / predicted.sum()),
        "Spearman of predicted and measured gain": float(spearmanr(predicted, measured_gain).statistic),
    }
    for name, value in figures.items():
        print(f"{name}: {value:.3g}")
    report.write("gain", {"runs": runs, "swarms": arguments.swarms, **figures, "wishes": rows})


if __name__ == "__main__":
    main()
