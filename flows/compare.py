"""The flow that compares two versions of a mix, or two mixes of a store, and leaves the difference as an artifact."""

from typing import Any

from prefect import flow

from olmix_core.config.load import load_config
from olmix_core.mixes.history import MixDifference, differences, find_record
from olmix_core.mixes.record import MixRecord, read_mix
from olmix_core.report.markdown import table
from olmix_core.storage.store import Store
from tasks.runtime.artifacts import publish_markdown


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

    def record(reference: str) -> MixRecord:
        is_version = reference.startswith("v") and reference[1:].isdigit()
        return find_record(store, f"{config.name}@{reference}" if is_version else reference or config.name)

    new = record(b)
    old = record(a) if a else read_mix(store, new.name, new.parent or new.version)
    found = differences(old, new)
    publish_markdown(f"compare-{new.name}", as_markdown(found), f"{found.a.name} and {found.b.name}")
    return found.to_json()


def as_markdown(found: MixDifference) -> str:
    """Two versions side by side."""
    lines = [f"# {found.a.name} and {found.b.name}", ""]
    rows: list[dict[str, Any]] = [
        {
            "": letter,
            "version": side.name,
            "predicted mean BPB": f"{side.predicted.bpb:.4f}",
            "90 % interval": f"{side.predicted.low:.4f} to {side.predicted.high:.4f}",
            "proxies of its swarm": side.evidence.swarm,
            "carried over": side.evidence.carried_over,
        }
        for letter, side in zip("ab", found.sides, strict=True)
    ]
    lines += [*table(rows), "", "## Weights", ""]
    rows = [
        {
            "domain": leaf.domain,
            "a": _weight(leaf.a),
            "b": _weight(leaf.b),
            "difference": f"{(leaf.b or 0.0) - (leaf.a or 0.0):+.4f}",
            "content": leaf.change or "the same",
        }
        for leaf in found.leaves
    ]
    lines += [*table(rows), "", "## Settings", ""]
    rows = [{"field": setting.field, "a": setting.a, "b": setting.b} for setting in found.settings]
    lines += [*(table(rows) or ["The same."]), "", "## Tasks", ""]
    tasks = [
        f"- only in {letter}: {', '.join(side.only_tasks)}"
        for letter, side in zip("ab", found.sides, strict=True)
        if side.only_tasks
    ]
    return "\n".join([*lines, *(tasks or ["The same."])]) + "\n"


def _weight(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
