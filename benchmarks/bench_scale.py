"""Laws of small models carried to the scale of large ones, with few anchors: errors, ranks and intervals.

The swarms are those of bench_transfer. Laws are fitted to the small models, carried to the large ones
(`TargetSurrogate`) with anchors, and judged on large models that are no anchors:

- RegMix: 128 or 512 runs of 1M parameters; 0 to 8 anchors of the target's scale, of half of the models of 60M or 1B,
  drawn at random or chosen (`representative`); judged on the other half. Rows are means over draws;
- SlimPajama: runs of 122M; anchors are all runs of 310M, of 680M too, and of 937M too; judged on the 8 models of 1.2B,
  whose mixtures other sizes trained on as well (seen), or not (unseen: such runs are left out). The runs of 122M are
  taken at their last checkpoint, or at one after 30 % of the tokens.

Rows "small" are the law at its own scale: judged on small models of the same mixtures, where there are some. Rows "law"
are the same predictions judged on the large models. Rows "runs" are what the small models measured, in place of
predictions: a ceiling of ranks. Losses are in nats per token; "mean" is the mean over losses.

- spearman, task_spearman, focus_spearman: correlation of the mean, the mean of those of the losses, that of the focus;
- mae, mae_mean, bias: mean absolute error of losses and of the mean, and predicted less measured mean;
- regret: the mean loss of the model whose mixture is predicted best, less the least;
- cover, cover_task: how many 90 % intervals of differences between two models hold what was measured, of the mean and
  of single losses; width: mean width of the former;
- cover_mean: the same of intervals of the mean itself;
- flops: 6 N D of all runs used.

    make bench-scale        (a quarter of an hour on one core)
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from benchmarks.bench_transfer import FOREIGN, regmix
from benchmarks.report import table, write
from olmix_core.mixture import Array
from olmix_core.planning.anchor_choice import representative
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import fit_law
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.scaling.anchors import Anchors
from olmix_core.surrogate.scaling.scale import Scale
from olmix_core.surrogate.scaling.target_surrogate import TargetSurrogate
from olmix_core.surrogate.settings import FitSettings

FAMILIES = ("diminishing_returns", "shared_prior", "auto")
ANCHORS = (0, 2, 4, 8)
REGMIX = {"1m": Scale(1e6, 1e9), "60m": Scale(60e6, 1e9), "1B": Scale(1e9, 25e9)}
RANKS = ("spearman", "task_spearman", "focus_spearman")
ERRORS = ("mae", "mae_mean", "bias", "regret")
INTERVALS = ("cover", "cover_task", "width", "cover_mean")
COLUMNS = (*RANKS, *ERRORS, *INTERVALS)
_EARLY = 0.35  # of a run's tokens: the last checkpoint before it
_QUANTILE = 1.645  # of the normal distribution, for 90 %
_REFERENCES = 3  # models that the others are compared with, where there are more than a few
_FEW = 10

Row = dict[str, object]


@dataclass(frozen=True)
class Runs:
    """Runs of one size.

    Attributes:
        data: Mixtures and losses.
        scale: Their scale.
    """

    data: SwarmData
    scale: Scale

    @property
    def flops(self) -> float:
        """Of all runs."""
        return len(self.data.runs) * self.scale.flops


def judged(predicted: Array, large: SwarmData, focus: str) -> list[float]:
    """RANKS and ERRORS of predictions [n, T]."""
    mean, measured, own = predicted.mean(axis=1), large.Y.mean(axis=1), large.tasks.index(focus)
    tasks = [spearmanr(*pair).statistic for pair in zip(predicted.T, large.Y.T, strict=True)]
    return [
        spearmanr(mean, measured).statistic,
        float(np.mean(tasks)),
        tasks[own],
        float(np.abs(predicted - large.Y).mean()),
        float(np.abs(mean - measured).mean()),
        float((mean - measured).mean()),
        float(measured[np.argmin(mean)] - measured.min()),
    ]


def intervals(surrogate: LawSurrogate | TargetSurrogate, large: SwarmData) -> list[float]:
    """INTERVALS of a surrogate."""
    tasks = len(large.tasks)
    predicted = surrogate.predict(large.X)

    def gains(weights: Array) -> tuple[float, float]:
        noise, error = surrogate.objective_noises(large.X, weights), (predicted - large.Y) @ weights
        holds, widths = [], []
        for k in range(_REFERENCES if len(large.runs) > _FEW else len(large.runs)):
            others = np.arange(len(large.runs)) != k
            std = surrogate.objective_stds(large.X[others], weights, large.X[k])
            half = _QUANTILE * np.hypot(std, np.hypot(noise[others], noise[k]))
            holds.append(np.mean(np.abs(error[others] - error[k]) < half))
            widths.append(np.mean(2 * half))
        return float(np.mean(holds)), float(np.mean(widths))

    equal = np.full(tasks, 1 / tasks)
    cover, width = gains(equal)
    half = _QUANTILE * np.hypot(surrogate.objective_stds(large.X, equal), surrogate.objective_noises(large.X, equal))
    cover_mean = np.mean(np.abs((predicted - large.Y) @ equal) < half)
    return [cover, float(np.mean([gains(unit)[0] for unit in np.eye(tasks)])), width, float(cover_mean)]


def carried(small: Runs, law: LawSurrogate, target: Scale, anchors: Sequence[Runs]) -> TargetSurrogate:
    """The law at the target."""
    if not anchors:
        return TargetSurrogate.carry(law, small.scale, target, Anchors.none(len(law.leaves), len(law.tasks)))
    X, Y = (np.concatenate([getattr(runs.data, name) for runs in anchors]) for name in ("X", "Y"))
    scales = tuple(runs.scale for runs in anchors for _ in runs.data.runs)
    return TargetSurrogate.carry(law, small.scale, target, Anchors(X, Y, scales))


@dataclass(frozen=True)
class Question:
    """What laws are judged on.

    Attributes:
        small: The runs that laws are fitted to.
        large: The models that they are judged on.
        same: Small models of the same mixtures; None where there are none.
        choices: Anchors, by name.
        focus: The loss that is shown by itself.
    """

    small: Runs
    large: Runs
    same: Runs | None
    choices: Mapping[str, Sequence[Runs]]
    focus: str

    def figures(self, law: LawSurrogate) -> dict[str, list[float]]:
        """COLUMNS and FLOPs of the law as it was fitted, and as it is carried with each choice of anchors."""
        told = {} if self.same is None else {"small": [*self._judged(law, self.same), self.small.flops]}
        told["law"] = [*self._judged(law, self.large), self.small.flops]
        for name, anchors in self.choices.items():
            surrogate = carried(self.small, law, self.large.scale, anchors)
            cost = self.small.flops + sum(runs.flops for runs in anchors)
            told[name] = [*self._judged(surrogate, self.large), cost]
        return told

    def of_families(self, laws: dict[str, LawSurrogate]) -> dict[str, dict[str, list[float]]]:
        """The figures by family; those of a law that two families found are computed once."""
        known: dict[bytes, dict[str, list[float]]] = {}
        told = {}
        for family, law in laws.items():
            key = law.predict(self.large.data.X).tobytes()
            if key not in known:
                known[key] = self.figures(law)
            told[family] = known[key]
        return told

    def ceiling(self) -> dict[str, list[float]]:
        """The row "runs": what small models measured, as predictions of the large ones; it has no intervals."""
        if self.same is None:
            return {}
        ranks = judged(self.same.data.Y, self.large.data, self.focus)
        return {"runs": [*ranks, *[float("nan")] * len(INTERVALS), self.same.flops]}

    def _judged(self, surrogate: LawSurrogate | TargetSurrogate, runs: Runs) -> list[float]:
        return [*judged(surrogate.predict(runs.data.X), runs.data, self.focus), *intervals(surrogate, runs.data)]


class Results:
    """Rows that are means over draws, in the order in which they came."""

    def __init__(self) -> None:
        self.rows: dict[tuple[tuple[str, object], ...], list[list[float]]] = {}

    def add(self, told: dict[str, list[float]], **key: object) -> None:
        """Add a draw."""
        for name, row in told.items():
            self.rows.setdefault((*key.items(), ("anchors", name)), []).append(row)

    def show(self) -> list[Row]:
        """Print and return the means."""
        means = {key: np.mean(draws, axis=0).tolist() for key, draws in sorted(self.rows.items(), key=self._order)}
        header = tuple(name for name, _ in next(iter(means)))
        shown = [
            (*(value for _, value in key), *(round(x, 4) for x in row[:-1]), f"{row[-1]:.1e}")
            for key, row in means.items()
        ]
        table((*header, *COLUMNS, "flops"), shown)
        return [
            {**dict(key), **{k: None if np.isnan(x) else x for k, x in zip((*COLUMNS, "flops"), row, strict=True)}}
            for key, row in means.items()
        ]

    @staticmethod
    def _order(item: tuple[tuple[tuple[str, object], ...], list[list[float]]]) -> tuple[str, ...]:
        """Rows of one key together, but for the anchors, which stay in their order."""
        return tuple(str(value) for _, value in item[0][:-1])


def of_regmix(families: Sequence[str], draws: int) -> list[Row]:
    """The rows of RegMix."""
    transfer, results = regmix(), Results()
    total = len(transfer.small.runs)
    for count in (128, 512):
        laws: dict[str, LawSurrogate] = {}
        for seed in range(draws):
            drawn = np.random.default_rng([seed, count]).permutation(total)[:count]
            small = Runs(transfer.small.rows(drawn), REGMIX["1m"])
            if count < total or not laws:
                laws = {family: fit_law(small.data, FitSettings(family=family)) for family in families}
            for size in ("60m", "1B"):
                of_size, scale = transfer.large[size], REGMIX[size]
                order = np.random.default_rng([seed, 1]).permutation(len(of_size.runs))
                pool, judges = np.split(order, [len(order) // 2])
                choices = {str(n): [Runs(of_size.rows(pool[:n]), scale)] if n else [] for n in ANCHORS}
                mixtures = [dict(zip(of_size.leaves, row, strict=True)) for row in of_size.X[pool].tolist()]
                best = representative(mixtures, max(ANCHORS))
                choices |= {f"{n} chosen": [Runs(of_size.rows(pool[best[:n]]), scale)] for n in ANCHORS[-2:]}
                same = Runs(transfer.large["1m"].rows(judges), REGMIX["1m"]) if size == "60m" else None
                question = Question(small, Runs(of_size.rows(judges), scale), same, choices, transfer.focus)
                for family, told in question.of_families(laws).items():
                    results.add(told, target=size, runs=count, family=family)
                results.add(question.ceiling(), target=size, runs=0, family="-")
    print(f"\nregmix: the focus is {transfer.focus}")
    return results.show()


def checkpoints(share: float) -> dict[float, Runs]:
    """SlimPajama's runs by size, at the last checkpoint within a share of their tokens; mixtures are their ids."""
    every = pd.read_csv(FOREIGN / "slimpajama/runs.csv")
    weights = [name for name in every.columns.astype(str) if name.startswith("weight_")]
    losses = [name for name in every.columns.astype(str) if name.endswith("_loss")]
    longest = every.groupby([*weights, "model_size"])["n_tokens"].transform("max")
    within = every[every["n_tokens"] <= share * longest].sort_values("n_tokens")
    last = within.groupby([*weights, "model_size"], as_index=False).last()
    found = {}
    for size, chosen in last.groupby("model_size"):
        X = chosen[weights].to_numpy(dtype=float)
        ids = tuple(" ".join(f"{weight:.4f}" for weight in x) for x in X)
        tasks = tuple(name.removesuffix("_loss") for name in losses)
        data = SwarmData(
            X / X.sum(axis=1, keepdims=True), chosen[losses].to_numpy(dtype=float), ids, tuple(weights), tasks
        )
        found[float(str(size))] = Runs(data, Scale(float(str(size)), float(chosen["n_tokens"].median())))
    return found


def without(runs: Runs, mixtures: Sequence[str]) -> Runs:
    """Leave out runs of some mixtures."""
    kept = [k for k, name in enumerate(runs.data.runs) if name not in mixtures]
    return Runs(runs.data.rows(np.array(kept, dtype=np.intp)), runs.scale)


def of_slimpajama(families: Sequence[str]) -> list[Row]:
    """The rows of SlimPajama."""
    last, early, results = checkpoints(1.0), checkpoints(_EARLY), Results()
    sizes = sorted(last)
    large = last[sizes[4]]
    for mixtures, hidden in (("unseen", large.data.runs), ("seen", ())):
        anchors = [without(last[size], hidden) for size in sizes[1:4]]
        choices: dict[str, Sequence[Runs]] = {"0": []}
        for n in range(1, 4):
            choices["+".join(f"{size / 1e6:.0f}m" for size in sizes[1 : n + 1])] = anchors[:n]
        for name, table_of_runs in (("last", last), ("early", early)):
            small = without(table_of_runs[sizes[0]], hidden)
            of_size = table_of_runs[sizes[0]]
            places = np.array([of_size.data.runs.index(run) for run in large.data.runs], dtype=np.intp)
            same = Runs(of_size.data.rows(places), of_size.scale)
            question = Question(small, large, same, choices, "openhermes")
            laws = {family: fit_law(small.data, FitSettings(family=family)) for family in families}
            for family, told in question.of_families(laws).items():
                results.add(told, mixtures=mixtures, base=name, family=family)
            results.add(question.ceiling(), mixtures=mixtures, base=name, family="-")
    print(f"\nslimpajama, judged on {large.scale}: the focus is openhermes")
    return results.show()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=8, help="random draws of runs and anchors of RegMix")
    parser.add_argument("--families", nargs="*", default=list(FAMILIES))
    arguments = parser.parse_args()
    if not FOREIGN.exists():
        raise SystemExit(f"{FOREIGN} is missing; expected the swarms of others")
    slim = of_slimpajama(arguments.families)
    mixed = of_regmix(arguments.families, arguments.draws)
    write("scale", {"draws": arguments.draws, "regmix": mixed, "slimpajama": slim})


if __name__ == "__main__":
    main()
