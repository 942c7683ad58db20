"""`olmix fit`: from the published tool's fit configuration and swarm files to a mixture, its errors and its record.

    fit_published(config, output)  ->  output/ mix.csv, mix.json, surrogate.json, diagnostics.csv, held_out.csv,
                                       trade_offs.csv, runs.parquet, report.html, predicted_vs_measured.png,
                                       mixture.png, effects.png, trade_offs.png

Domains are labels here: nothing is known of their content, so fingerprints are null. Where the default differs from
what the published tool does, `differences` says so, and `published_behaviour` follows that tool instead. Its known
defects are not followed: rows are joined by run id, a solver's answer is taken only with a certificate, and held-out
runs do not switch the proposal off.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from olmix_core.errors import ConfigError
from olmix_core.interop import plots
from olmix_core.interop.fit_config import FitConfig, load_fit_config
from olmix_core.interop.fit_domains import Domains, find_domains
from olmix_core.interop.fit_outputs import as_csv, labelled, mix_record, mix_table, write_folder
from olmix_core.interop.swarm_csv import PublishedSwarm, read_swarm
from olmix_core.mixes.published_mix import read_files
from olmix_core.mixes.runs import held_out as held_out_runs
from olmix_core.mixes.runs import to_parquet
from olmix_core.mixture import Array
from olmix_core.proposal.solve import Proposal, propose
from olmix_core.proposal.tradeoffs import Point, trade_offs
from olmix_core.report.page import report_html
from olmix_core.storage.integrity import checksum, seal
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import Diagnostics, cross_validate, fit

_FOLDS = 5


@dataclass(frozen=True)
class PublishedFit:
    """What was written: mix.csv as a table, mix.json, both tables of errors, and the files.

    diagnostics are cross-validated errors on the runs of the fit; held_out those on runs that n_test or train_split
    kept out of it, None where there are none.
    """

    output: Path
    table: pd.DataFrame
    record: Mapping[str, Any]
    surrogate: Surrogate
    proposal: Proposal
    diagnostics: pd.DataFrame
    held_out: pd.DataFrame | None
    files: tuple[Path, ...]


def fit_published(config: Path, output: Path, *, published_behaviour: bool = False) -> PublishedFit:
    """Fit, cross-validate and propose as `config` asks, and write the folder `output`.

    published_behaviour: follow the published tool where the default differs. Raises ConfigError, DataError, FitError
    or ProposalError for what cannot be done, StoreError where `output` cannot be written; nothing is written then.
    """
    settings = load_fit_config(config)
    swarm = read_swarm(config, settings, complete_only=published_behaviour)
    domains = find_domains(config, settings, swarm.evidence.leaves, swarm.domains, on_columns=published_behaviour)
    weights = _task_weights(config, settings, swarm.evidence.tasks)
    used, kept_out = _split(config, settings, swarm, published_behaviour)
    evidence = swarm.evidence.rows(used)

    ridge: float | Literal["auto"] = "auto"
    if published_behaviour and settings.regression.type == "log_linear":
        ridge = 0.0
    surrogate = fit(evidence, family=settings.regression.type, ridge=ridge)
    diagnostics = cross_validate(
        evidence,
        family=surrogate.family,
        gamma=surrogate.gamma,
        ridge=ridge,
        task_weights=weights,
        folds=min(_FOLDS, len(evidence.runs)),
        seed=settings.regression.seed,
    )
    held_out = _held_out(surrogate, swarm.evidence.rows(kept_out), weights) if len(kept_out) else None
    kl = settings.kl
    if published_behaviour and settings.filtering.obj_weights:
        # That tool adds weighted tasks up without dividing by the sum of the weights.
        kl /= weights.sum()
    expansion = _expansion(config, settings, surrogate.leaves)

    def ask(domains: Domains, kl: float) -> Proposal:
        return propose(
            surrogate,
            expansion=expansion,
            natural=domains.reference(),
            caps=domains.caps(),
            kl=kl,
            task_weights=weights,
        )

    proposal = ask(domains, kl)
    table = mix_table(domains, proposal)
    families = {} if settings.eval is None else settings.eval.families
    curves = _trade_offs(surrogate, domains, kl, weights, ask)
    record = {
        **mix_record(config.stem, domains, surrogate, proposal, weights, families),
        "notes": [*settings.remarks(), *swarm.notes, *domains.notes, *surrogate.notes],
        "weights": dict(zip(table["domain"], table["weight"], strict=True)),
        "evidence": {"runs": len(evidence.runs), "held_out": len(kept_out), "domains": len(surrogate.leaves)},
        "differences": _differences(settings, swarm, domains, evidence, weights, len(kept_out), published_behaviour),
        "settings": {**settings.model_dump(mode="json"), "published_behaviour": published_behaviour},
    }
    errors = diagnostics.table()
    contents: dict[str, bytes] = {
        "mix.csv": as_csv(table, index=False),
        "surrogate.json": seal({**surrogate.to_json(), "domains": labelled(surrogate.leaves)}),
        "diagnostics.csv": as_csv(errors),
        "runs.parquet": to_parquet(held_out_runs(evidence, diagnostics)),
        "trade_offs.csv": as_csv(curves, index=False),
        "trade_offs.png": plots.trade_offs(curves),
        "predicted_vs_measured.png": plots.predictions(diagnostics),
        "mixture.png": plots.mixture(table),
        "effects.png": plots.effects(surrogate, domains.natural()),
    }
    if held_out is not None:
        contents["held_out.csv"] = as_csv(held_out)
    record["files"] = {name: checksum(content) for name, content in contents.items()}
    contents["mix.json"] = seal(record)
    contents["report.html"] = report_html(read_files(contents))
    files = write_folder(output, contents)
    return PublishedFit(output, table, record, surrogate, proposal, errors, held_out, files)


def _trade_offs(
    surrogate: Surrogate, domains: Domains, kl: float, weights: Array, ask: Callable[[Domains, float], Proposal]
) -> pd.DataFrame:
    """What other strengths of the KL term, epochs and lengths would give; nothing where each takes a long search."""

    def answer(changed: Mapping[str, Any]) -> Point:
        limits = {name: value for name, value in changed.items() if name != "kl"}
        found = ask(replace(domains, **limits), changed.get("kl", kl))
        return Point(found.weights, int(found.at_cap.sum()), found.status)

    capped = {"repetition": domains.repetition, "target_tokens": domains.target_tokens}
    asked = {"kl": kl, **(capped if domains.repetition is not None else {})}
    return trade_offs(surrogate, answer, asked if surrogate.is_convex else {}, domains.natural(), weights)


def _task_weights(file: Path, config: FitConfig, tasks: tuple[str, ...]) -> Array:
    """Weight [T] of each task: 1 unless obj_weights has another."""
    given = config.filtering.obj_weights
    unknown = sorted(set(given) - set(tasks) - set(config.filtering.drop_metrics))
    if unknown:
        kind = "families" if config.regression.aggregate_task_families else "tasks"
        raise ConfigError(
            str(file), f"filtering.obj_weights.{unknown[0]}", repr(unknown[0]), f"one of the {kind} {', '.join(tasks)}"
        )
    weights = np.array([given.get(task, 1.0) for task in tasks])
    if not weights.any():
        raise ConfigError(str(file), "filtering.obj_weights", "0 for every task", "a weight > 0")
    return weights


def _split(
    file: Path, config: FitConfig, swarm: PublishedSwarm, published: bool
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of the evidence to fit to, and rows kept out of the fit.

    A seeded shuffle; its first n_test runs are held out, and train_split takes its share or number from the rest.
    The shuffle is of sorted run ids, so that the order of the files changes nothing; the published tool shuffles
    the rows of its file.
    """
    regression, runs = config.regression, swarm.evidence.runs
    order = swarm.file_order if published else runs
    random = np.random.RandomState(regression.seed)  # the generator that the published tool shuffles with
    shuffled = random.permutation(len(order))
    place = {run: row for row, run in enumerate(runs)}
    rows = np.array([place[order[k]] for k in shuffled], dtype=np.intp)
    rest = len(rows) - regression.n_test
    share = regression.train_split
    train = rest if share == 1 else int(share) if share > 1 else int(share * rest)
    if not 0 < train <= rest:
        found = f"{train} runs to fit to and {regression.n_test} to hold out"
        raise ConfigError(str(file), "regression.train_split", found, f"at most the {len(rows)} runs there are")
    # Back in sorted order: a fit does not depend on it, and its files read better.
    first = regression.n_test
    used = np.sort(rows[first : first + train])
    return used, np.setdiff1d(rows, used)


def _expansion(file: Path, config: FitConfig, columns: tuple[str, ...]) -> Array:
    """Columns of the proposal [d, e]: fixed weights are part of every one of them."""
    fixed = config.filtering.fixed_weight
    unknown = [name for name in fixed if name not in columns]
    if unknown:
        expected = f"a column of ratios: {', '.join(columns)}"
        raise ConfigError(str(file), "filtering.fixed_weight", repr(unknown[0]), expected)
    total = sum(fixed.values())
    free = [j for j, name in enumerate(columns) if name not in fixed]
    if total > 1 or not free:
        raise ConfigError(str(file), "filtering.fixed_weight", f"weights that sum to {total:g}", "less than 1 in all")
    constant = np.array([fixed.get(name, 0.0) for name in columns])
    return np.asarray(constant[:, None] + (1 - total) * np.eye(len(columns))[:, free])


def _held_out(surrogate: Surrogate, evidence: SwarmData, weights: Array) -> pd.DataFrame:
    """Errors of the fit on runs that it has not seen, as in diagnostics.csv."""
    shares = weights / weights.sum()
    predicted = surrogate.predict(evidence.X)
    return Diagnostics(
        family=surrogate.family,
        gamma=surrogate.gamma,
        runs=evidence.runs,
        tasks=evidence.tasks,
        predicted=predicted,
        observed=evidence.Y,
        std=np.hypot(surrogate.std(evidence.X), surrogate.noise()),
        objective_predicted=predicted @ shares,
        objective_observed=evidence.Y @ shares,
        objective_std=np.hypot(surrogate.objective_stds(evidence.X, weights), surrogate.objective_noise(weights)),
    ).table()


def _differences(
    config: FitConfig,
    swarm: PublishedSwarm,
    domains: Domains,
    evidence: SwarmData,
    weights: Array,
    held_out: int,
    published: bool,
) -> list[str]:
    """Where this answer differs from the published tool's, one line each."""
    lines = []
    if config.regression.n_test:
        lines.append("a mixture is proposed although runs are held out (published: none)")
    if len(evidence.runs) < len(evidence.leaves):
        lines.append("fewer runs than domains are fitted, with a remark (published: an error)")
    if published:
        return lines
    if config.regression.type == "log_linear":
        lines.append("each task's regularisation is chosen by leave-one-out error (published: none)")
    virtual = [column.name for column in domains.columns if len(column.leaves) > 1]
    if virtual:
        names = ", ".join(virtual)
        lines.append(f"KL term and caps are on the leaves inside {names} (published: on the column, its tokens summed)")
    if swarm.incomplete:
        lines.append(f"{len(swarm.incomplete)} runs that lack some task are used for the others (published: left out)")
    if held_out:
        lines.append("runs are held out by a shuffle of sorted run ids (published: of the rows of the file)")
    if config.filtering.obj_weights and not math.isclose(weights.sum(), 1.0, rel_tol=1e-6):
        lines.append(
            f"task weights are scaled to sum to 1 (published: they sum to {weights.sum():g}, the KL term to 1)"
        )
    return lines
