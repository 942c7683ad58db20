"""From small models to large ones: laws fitted to losses of small models, judged on larger models.

Two swarms that others trained, with models of several sizes:

- RegMix (arXiv 2407.01492): 17 domains of the Pile, 13 losses, 512 runs of 1M parameters; judged on other mixtures at
  1M, 60M and 1B; its focus is the loss of Pile-CC;
- SlimPajama: 7 domains and their losses, 22 runs of 122M at their last checkpoint; judged on the same mixtures at 310M
  to 1.2B; its focus is the loss of OpenHermes, which is none of the domains.

Each row is the mean over random draws of the runs. Losses are in nats per token.

- spearman: mean over losses of the correlation over the large models, and that of the focus;
- regret: the loss of the large model whose mixture is predicted best, less the least of all, of the mean over losses
  and of the focus.

    make bench-transfer        (ten minutes on one core)
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from benchmarks.report import table, write
from olmix_core.mixture import Array
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import fit
from olmix_core.surrogate.settings import FitSettings

FOREIGN = Path(__file__).resolve().parents[2] / "shared" / "foreign"
FAMILIES = ("log_linear", "diminishing_returns", "shared_prior", "auto")
_FEWEST = 5  # models of one size that can be ranked
COLUMNS = ("spearman", "focus_spearman", "regret", "focus_regret")


@dataclass(frozen=True)
class Transfer:
    """Runs of small models, and the mixtures [n, m] and losses [n, T] of large ones, by size.

    Attributes:
        small: The runs that laws are fitted to.
        large: {size: runs}.
        counts: How many of the small runs are drawn.
        focus: The loss that is shown by itself.
    """

    small: SwarmData
    large: dict[str, SwarmData]
    counts: tuple[int, ...]
    focus: str


def regmix() -> Transfer:
    """The swarm of RegMix."""

    def runs(kind: str, size: str) -> SwarmData:
        folder = FOREIGN / "regmix"
        mixtures = pd.read_csv(folder / f"{kind}_mixture_{size}.csv").set_index("index")
        losses = pd.read_csv(folder / f"{kind}_pile_loss_{size}.csv").set_index("index").loc[mixtures.index]
        X = mixtures.to_numpy(dtype=float)
        return SwarmData(
            X / X.sum(axis=1, keepdims=True),
            losses.to_numpy(dtype=float),
            tuple(map(str, mixtures.index)),
            tuple(name.removeprefix("train_the_pile_") for name in mixtures.columns.astype(str)),
            tuple(
                name.removeprefix("metric/the_pile_").removesuffix("_val_loss") for name in losses.columns.astype(str)
            ),
        )

    large = {size: runs("test", size) for size in ("1m", "60m", "1B")}
    return Transfer(runs("train", "1m"), large, (18, 36, 51, 128, 512), "pile_cc")


def slimpajama() -> Transfer:
    """The swarm over SlimPajama, at the last checkpoint of each run."""
    table_of_runs = pd.read_csv(FOREIGN / "slimpajama/runs.csv")
    weights = [name for name in table_of_runs.columns.astype(str) if name.startswith("weight_")]
    losses = [name for name in table_of_runs.columns.astype(str) if name.endswith("_loss")]
    last = table_of_runs.sort_values("n_tokens").groupby([*weights, "model_size"], as_index=False).last()

    def runs(size: float) -> SwarmData:
        chosen = last[last["model_size"] == size]
        X = chosen[weights].to_numpy(dtype=float)
        return SwarmData(
            X / X.sum(axis=1, keepdims=True),
            chosen[losses].to_numpy(dtype=float),
            tuple(f"run{row}" for row in range(len(chosen))),
            tuple(name.removeprefix("weight_") for name in weights),
            tuple(name.removesuffix("_loss") for name in losses),
        )

    models = last["model_size"].astype(float)
    sizes = [size for size in sorted(set(models)) if (models == size).sum() >= _FEWEST]
    return Transfer(runs(sizes[0]), {f"{size / 1e6:.0f}m": runs(size) for size in sizes[1:]}, (8, 12, 22), "openhermes")


def judged(predicted: Array, large: SwarmData, focus: str) -> Array:
    """COLUMNS of predictions [n, T]."""
    measured, own = large.Y, large.tasks.index(focus)

    def regret(guess: Array, loss: Array) -> float:
        return float(loss[np.argmin(guess)] - loss.min())

    correlations = [spearmanr(*pair).statistic for pair in zip(predicted.T, measured.T, strict=True)]
    return np.array(
        [
            np.mean(correlations),
            correlations[own],
            regret(predicted.mean(axis=1), measured.mean(axis=1)),
            regret(predicted[:, own], measured[:, own]),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=5, help="random draws of the small runs")
    parser.add_argument("--families", nargs="*", default=list(FAMILIES))
    arguments = parser.parse_args()
    if not FOREIGN.exists():
        raise SystemExit(f"{FOREIGN} is missing; expected the swarms of others")
    results = []
    for name, transfer in (("regmix", regmix()), ("slimpajama", slimpajama())):
        rows: list[tuple[object, ...]] = []
        for count in transfer.counts:
            for family in arguments.families:
                total = len(transfer.small.runs)
                draws: dict[str, list[Array]] = {size: [] for size in transfer.large}
                for seed in range(arguments.draws if count < total else 1):
                    drawn = transfer.small.rows(np.random.default_rng([seed, count]).permutation(total)[:count])
                    law = fit(drawn, FitSettings(family=family))
                    for size, large in transfer.large.items():
                        draws[size].append(judged(law.predict(large.X), large, transfer.focus))
                for size, figures in draws.items():
                    means = np.mean(figures, axis=0).tolist()
                    row = dict(zip(COLUMNS, means, strict=True))
                    results.append({"swarm": name, "runs": count, "family": family, "judged_on": size, **row})
                    rows.append((count, family, size, *means))
        print(f"\n{name}: {transfer.small.X.shape[1]} domains; the focus is {transfer.focus}")
        table(("runs", "family", "on", *COLUMNS), rows)
    write("transfer", {"draws": arguments.draws, "results": results})


if __name__ == "__main__":
    main()
