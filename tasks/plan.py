"""Step `plan`: one per domain set. Key: the leaves, the shares pinned, the strategy, and the mix it builds on."""

from dataclasses import replace
from typing import Any

from olmix_core.carry import in_atoms
from olmix_core.evidence import read_rows
from olmix_core.formats import InputFile
from olmix_core.release import choose_release
from olmix_core.reuse import plan_columns
from olmix_core.store import Store
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
        measured = _release(base, everything - affected, affected, Store(store), files)
        released = [one["leaf"] for one in measured["released"]] if measured else []
    chosen = plan_columns(units, base["weights"], affected | set(released), runs)
    if chosen.runs == 0 and not base["informed"]:
        # Nothing is left to explore, and nothing is known that could be learnt from: begin anew.
        chosen = plan_columns(units, {}, everything, runs)
    return {**chosen.to_json(), "released": released, "coupling": measured}


def _release(
    base: dict[str, Any],
    kept: frozenset[str],
    affected: frozenset[str],
    store: Store,
    files: dict[str, list[dict[str, Any]]],
) -> dict[str, Any] | None:
    settings = base["coupling"]
    rows = [row for row in read_rows(store, settings["evidence"]) if row.proxy in settings["proxies"]]
    return choose_release(
        rows=[replace(row, mixture=in_atoms(row.mixture, settings["splits"])) for row in rows],
        tasks=settings["tasks"],
        old_weights=base["weights"],
        kept=sorted(kept),
        affected={leaf: base["origins"].get(leaf) for leaf in sorted(affected)},
        files={leaf: [InputFile(**file) for file in of_leaf] for leaf, of_leaf in files.items()},
        tokenizer=Tokenizer.from_json(store.read_json(tokenizer_path(settings["tokenizer"]))),
    )
