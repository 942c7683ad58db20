"""Step `plan`: one per domain set. Key: the leaves, the shares pinned, the strategy, and the mix it builds on."""

from typing import Any

import numpy as np

from olmix_core import coupling
from olmix_core.carry import atom_matrix
from olmix_core.evidence import as_arrays, read_rows
from olmix_core.formats import InputFile
from olmix_core.mixture import Vector
from olmix_core.resemblance import profile, resemblance
from olmix_core.reuse import plan_columns
from olmix_core.store import Store
from olmix_core.surrogate import Evidence
from olmix_core.surrogate import fit as fit_surrogate
from olmix_core.swarm import RUNS_PER_DIMENSION
from olmix_core.tokenizer import Tokenizer
from tasks.step import Payload, Result, step
from tasks.tokenizer import tokenizer_path


@step("plan", code_version=1)
def plan(payload: Payload, store: str, *, files: dict[str, list[dict[str, Any]]]) -> Result:
    """Choose the free dimensions, {content: share} each, and the number of runs.

    `files` are the input files of each leaf, of which the automatic release reads a little.
    """
    units, base, runs = payload["units"], payload["base"], payload["runs"]
    everything = frozenset(leaf for unit in units for leaf in unit)
    if base is None:
        chosen = plan_columns(units, {}, everything, runs)
        return {**chosen.to_json(), "released": [], "coupling": None}
    affected = frozenset(base["affected"])
    released, measured = list(base["release"]), None
    if base["coupling"] is not None and affected:
        found = _coupling(base, sorted(everything - affected), sorted(affected), Store(store), files)
        released, measured = [one["leaf"] for one in found["released"]], found
    chosen = plan_columns(units, base["weights"], affected | set(released), runs)
    if chosen.runs == 0 and not base["informed"]:
        # Nothing is left to explore, and nothing is known that could be learnt from: begin anew.
        chosen = plan_columns(units, {}, everything, runs)
    return {**chosen.to_json(), "released": released, "coupling": measured}


def _coupling(
    base: dict[str, Any],
    kept: list[str],
    affected: list[str],
    store: Store,
    files: dict[str, list[dict[str, Any]]],
) -> dict[str, Any]:
    """Which unaffected leaves are worth recomputing, by the coupling of the paper's theorem 1."""
    settings = base["coupling"]
    rows = [row for row in read_rows(store, settings["evidence"]) if row.proxy in settings["proxies"]]
    atoms = sorted({leaf for row in rows for leaf in row.mixture})
    x, y = as_arrays(rows, atoms, settings["tasks"])
    evidence = Evidence(x, y, tuple(row.proxy for row in rows), tuple(atoms), tuple(settings["tasks"]))
    law = fit_surrogate(evidence, family="log_linear")
    slopes = law.parameters.v  # [T, atoms]
    known = [leaf for leaf in kept if leaf in atoms]
    weights = np.array([base["weights"].get(atom, 0.0) for atom in atoms])
    centred = coupling.centred(slopes, weights / weights.sum())

    tokenizer = Tokenizer.from_json(store.read_json(tokenizer_path(settings["tokenizer"])))
    profiles: dict[str, Vector] = {
        leaf: profile([InputFile(**file) for file in files[leaf]], tokenizer) for leaf in {*known, *base["added"]}
    }
    matrix = atom_matrix(known, atoms, {})
    columns = [centred @ matrix]
    like: dict[str, dict[str, float]] = {}
    for leaf in affected:
        origin = base["origins"].get(leaf)
        if origin is None:
            shares = resemblance(profiles[leaf], np.stack([profiles[one] for one in known]))
            like[leaf] = {one: float(share) for one, share in zip(known, shares, strict=True) if share > 0}
            columns.append((centred @ matrix @ shares)[:, None])
        else:
            usable = {atom: share for atom, share in origin.items() if atom in atoms}
            total = sum(usable.values()) or 1.0
            mixed = np.array([usable.get(atom, 0.0) / total for atom in atoms])
            columns.append((centred @ mixed)[:, None])
    coefficients = np.concatenate(columns, axis=1)
    fixed, recomputed = list(range(len(known))), list(range(len(known), coefficients.shape[1]))
    released = coupling.choose(coefficients, fixed, recomputed, RUNS_PER_DIMENSION)
    alone = coupling.candidates(coefficients, fixed, recomputed)

    def told(one: coupling.Release) -> dict[str, Any]:
        return {"leaf": known[one.leaf], "before": one.before, "after": one.after, "fall": one.fall}

    return {
        "before": coupling.kappa(coefficients, fixed, recomputed),
        "after": released[-1].after if released else coupling.kappa(coefficients, fixed, recomputed),
        "released": [told(one) for one in released],
        "leaves": [told(one) for one in alone],
        "resembles": like,
    }
