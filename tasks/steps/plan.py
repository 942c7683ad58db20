"""Step `plan`: one per domain set. Key: the leaves, the shares pinned, the strategy, and the mix it builds on.

Reuse keeps old ratios: E has them as one column. Strategy `auto`, which learns from every run on record, takes from
that E only how many runs are needed: it explores and optimises over all leaves. Simulated on the paper's updates, that
reaches with as many runs what exploring in E does not (`make bench-five-updates`).
"""

from collections.abc import Sequence
from typing import Any

from olmix_core.data.documents import InputFile
from olmix_core.data.tokenizer import Tokenizer
from olmix_core.evidence import ledger
from olmix_core.evidence.atoms import in_atoms
from olmix_core.evidence.merge import COLUMNS, merge
from olmix_core.planning.release import choose_release
from olmix_core.planning.reuse import plan_columns
from olmix_core.storage.layout import tokenizer_path
from olmix_core.storage.store import Store
from tasks.runtime.step import Payload, Result, step


@step("plan", code_version=2)
def plan(payload: Payload, store: str, *, rows: Sequence[str], files: dict[str, list[dict[str, Any]]]) -> Result:
    """Choose the free dimensions, {content: share} each, and the number of runs.

    Where ratios could be kept but are not, `reusable` are the columns that would keep them. `rows` are the ids of the
    evidence, and `files` the input files of each leaf, of which the automatic release reads a little.
    """
    units, base, runs = payload["units"], payload["base"], payload["runs"]
    everything = frozenset(leaf for unit in units for leaf in unit)
    if base is None:
        chosen = plan_columns(units, {}, everything, runs)
        return {**chosen.to_json(), "released": [], "coupling": None, "reusable": None}
    affected = frozenset(base["affected"])
    released, measured = list(base["release"]), None
    if base["coupling"] is not None and affected:
        measured = _release(base, everything - affected, affected, Store(store), rows, files)
        released = [one["leaf"] for one in measured["released"]] if measured else []
    chosen = plan_columns(units, base["weights"], affected | set(released), runs)
    if chosen.runs == 0 and not base["informed"]:
        # Nothing is left to explore, and nothing is known that could be learnt from: begin anew.
        chosen = plan_columns(units, {}, everything, runs)
    told = {"released": released, "coupling": measured}
    if base["coupling"] is None or not chosen.kept:
        return {**chosen.to_json(), **told, "reusable": None}
    over_all = {"columns": units, "kept": [], "runs": chosen.runs}
    return {**over_all, **told, "reusable": chosen.to_json()["columns"]}


def _release(
    base: dict[str, Any],
    kept: frozenset[str],
    affected: frozenset[str],
    store: Store,
    rows: Sequence[str],
    files: dict[str, list[dict[str, Any]]],
) -> dict[str, Any] | None:
    settings = base["coupling"]
    evidence = merge(ledger.read(store, COLUMNS, rows))
    splits = settings["splits"]
    atoms = sorted(in_atoms(dict.fromkeys(evidence.contents(), 1.0), splits))
    return choose_release(
        evidence=evidence.problem(atoms, splits, sorted(evidence.bpb.names)),
        old_weights=base["weights"],
        kept=sorted(kept),
        affected={leaf: base["origins"].get(leaf) for leaf in sorted(affected)},
        files={leaf: [InputFile(**file) for file in of_leaf] for leaf, of_leaf in files.items()},
        tokenizer=Tokenizer.from_json(store.read_json(tokenizer_path(settings["tokenizer"]))),
    )
