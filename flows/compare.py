"""The flow that compares two versions of a mix, or two mixes of a store, and leaves the difference as an artifact."""

from collections.abc import Mapping
from typing import Any

from prefect import flow

from olmix_core.config.load import load_config
from olmix_core.mixes.history import differences, find_record
from olmix_core.mixes.record import read_mix
from olmix_core.storage.store import Store
from tasks.runtime.artifacts import publish_markdown, table


@flow(name="compare", flow_run_name="compare {config_file}", persist_result=False)
def compare(config_file: str, a: str = "", b: str = "") -> dict[str, Any]:
    """Compare two published mixtures: leaves, weights, settings, tasks, evidence.

    Args:
        config_file: Path of the configuration (YAML) on the machine of the worker, for its store and its name.
        a: NAME@VERSION, a NAME, or a VERSION of the file's mix. Left empty: the version before `b`, or `b` itself
            where it is the first.
        b: The same, to compare with. Left empty: the latest version.
    """
    config = load_config(config_file)
    store = Store(config.store)

    def record(reference: str) -> dict[str, Any]:
        is_version = reference.startswith("v") and reference[1:].isdigit()
        return find_record(store, f"{config.name}@{reference}" if is_version else reference or config.name)

    new = record(b)
    old = record(a) if a else read_mix(store, new["name"], new["parent"] or new["version"])
    found = differences(old, new)
    publish_markdown(f"compare-{new['name']}", as_markdown(found), f"{found['a']} and {found['b']}")
    return found


def as_markdown(found: Mapping[str, Any]) -> str:
    """What `differences` found."""
    lines = [f"# {found['a']} and {found['b']}", ""]
    predicted = found["predicted"]
    rows: list[dict[str, Any]] = [
        {
            "": side,
            "version": found[side],
            "predicted mean BPB": f"{predicted[side]['bpb']:.4f}",
            "90 % interval": f"{predicted[side]['low']:.4f} to {predicted[side]['high']:.4f}",
            "proxies of its swarm": found["evidence"][side]["swarm"],
            "carried over": found["evidence"][side]["carried_over"],
        }
        for side in ("a", "b")
    ]
    lines += [*table(rows), "", "## Weights", ""]
    rows = [
        {
            "domain": leaf["domain"],
            "a": _weight(leaf["a"]),
            "b": _weight(leaf["b"]),
            "difference": f"{(leaf['b'] or 0.0) - (leaf['a'] or 0.0):+.4f}",
            "content": leaf["change"] or "the same",
        }
        for leaf in found["leaves"]
    ]
    lines += [*table(rows), "", "## Settings", ""]
    rows = [{"field": one["field"], "a": one["a"], "b": one["b"]} for one in found["settings"]]
    lines += [*(table(rows) or ["The same."]), "", "## Tasks", ""]
    tasks = [f"- {where}: {', '.join(names)}" for where, names in found["tasks"].items() if names]
    return "\n".join([*lines, *(tasks or ["The same."])]) + "\n"


def _weight(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
