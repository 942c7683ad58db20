"""Does a mixture gain at a larger size what was told beforehand? Real training on the quickstart's domains.

A swarm of proxies of the recipe `tiny` is trained, and four larger models on mixtures of it (anchors). A mixture is
proposed for the size of the target, 8 times the parameters of the anchors, for each of some wishes. Only then models of
that size are trained on the natural and the proposed mixtures, with two seeds that nothing else used. Per wish: the
gain predicted at the size of the proxies, without anchors and with them, and the gain measured at the target.

    make bench-target        (24 proxies, 4 anchors, 8 targets; an hour on two free cores)
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.laboratory import QUICKSTART, Laboratory, tasks_of
from olmix_core.config.recipe import ProxyRecipe
from olmix_core.mixture import Array
from olmix_core.planning.anchor_choice import representative
from olmix_core.proposal.solve import ProposalProblem, propose
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import fit_law
from olmix_core.surrogate.intervals import interval
from olmix_core.surrogate.scaling.anchors import Anchors
from olmix_core.surrogate.scaling.scale import Scale
from olmix_core.surrogate.scaling.target_surrogate import TargetSurrogate

RUNS, ANCHORS = 24, 4
SEED, UNSEEN_SEEDS = 0, (1, 2)
REPETITION = 4.0
TOKENS = 262_144  # of every model
# Learning rates fall with the cube root of the parameters, as those of the presets do.
PROXY: dict[str, float] = {"tokens": TOKENS}
ANCHOR: dict[str, float] = {"tokens": TOKENS, "width": 128, "learning_rate": 5e-3}
TARGET: dict[str, float] = {"tokens": TOKENS, "width": 256, "layers": 4, "heads": 4, "learning_rate": 2.5e-3}


def scale(recipe: dict[str, float]) -> Scale:
    """Parameters without embeddings, and tokens."""
    known = ProxyRecipe.model_validate(recipe)
    return Scale(known.parameters(vocab_size=0), TOKENS)


def wishes(tasks: tuple[str, ...]) -> dict[str, Array]:
    """{wish: [T] task weights}: the quickstart's two tasks, the mean of all, and code alone."""
    of_quickstart = [float(task in ("heldout prose", "explain_code")) for task in tasks]
    return {
        "quickstart": np.array(of_quickstart),
        "all tasks": np.ones(len(tasks)),
        "code": np.array([float(task == "heldout code") for task in tasks]),
    }


def best(law: Surrogate, text: Laboratory, weights: Array) -> Array:
    """[m] what is proposed."""
    caps = REPETITION * text.tokens / text.tokens.sum()
    problem = ProposalProblem(np.eye(len(text.leaves)), text.natural, caps, task_weights=weights)
    return propose(law, problem).weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=QUICKSTART / "mix.yaml", help="whose domains")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = Laboratory(folder, arguments.config, tasks_of(None, 0), PROXY)
        asked = wishes(text.tasks)
        drawn = text.swarm(RUNS)
        bpb, _ = text.measure(drawn, [SEED])
        names = tuple(f"{number:03d}" for number in range(RUNS))
        law = fit_law(SwarmData(drawn, bpb[:, 0], names, text.leaves, text.tasks))
        chosen = drawn[representative([dict(zip(text.leaves, row, strict=True)) for row in drawn.tolist()], ANCHORS)]
        larger, _ = text.measure(chosen, [SEED], ANCHOR)
        none = Anchors.none(len(text.leaves), len(text.tasks))
        anchors = Anchors(chosen, larger[:, 0], (scale(ANCHOR),) * ANCHORS)
        carried = {
            name: TargetSurrogate.carry(law, scale(PROXY), scale(TARGET), runs)
            for name, runs in (("without anchors", none), ("with anchors", anchors))
        }
        mixtures = np.array([text.natural, *(best(carried["with anchors"], text, row) for row in asked.values())])
        measured, seconds = text.measure(mixtures, UNSEEN_SEEDS, TARGET)
    rows: list[dict[str, Any]] = []
    for number, (wish, weights) in enumerate(asked.items(), 1):
        shares = weights / weights.sum()
        gains = (measured[0] - measured[number]) @ shares
        predictors: dict[str, Surrogate] = {"proxies' size": law, **carried}
        for name, predictor in predictors.items():
            told = interval(predictor, mixtures[number], weights, text.natural)
            rows.append(
                {
                    "wish": wish,
                    "told": name,
                    "gain": told.bpb,
                    "low": told.low,
                    "high": told.high,
                    **{f"measured, seed {seed}": float(gain) for seed, gain in zip(UNSEEN_SEEDS, gains, strict=True)},
                    "inside": float(np.mean([told.low <= gain <= told.high for gain in gains])),
                }
            )
    report.table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    slopes = carried["with anchors"].slopes
    print("slopes:", {task: round(float(slope), 2) for task, slope in zip(text.tasks, slopes, strict=True)})
    sizes = {name: scale(recipe) for name, recipe in (("proxy", PROXY), ("anchor", ANCHOR), ("target", TARGET))}
    flops = {"proxies": RUNS * sizes["proxy"].flops, "anchors": ANCHORS * sizes["anchor"].flops}
    print(
        f"FLOPs of proxies {flops['proxies']:.3g}, of anchors {flops['anchors']:.3g}; a target's"
        f" {sizes['target'].flops:.3g}"
    )
    report.write(
        "target",
        {
            "sizes": {name: size.to_json() for name, size in sizes.items()},
            "flops": flops,
            "seconds_per_target": float(np.median(seconds)),
            "slopes": dict(zip(text.tasks, slopes.tolist(), strict=True)),
            "wishes": rows,
        },
    )


if __name__ == "__main__":
    main()
