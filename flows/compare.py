"""The flow that compares two versions of a mix, or two mixes of a store, and leaves the difference as an artifact."""

from prefect import flow

from flows.reports.difference_markdown import difference_markdown
from olmix_core.config.load import load_config
from olmix_core.mixes.history import MixDifference, differences, find_record
from olmix_core.mixes.record import MixRecord
from olmix_core.mixes.versions import read_mix
from olmix_core.storage.store import Store
from tasks.runtime.artifacts import publish_markdown


@flow(name="compare", flow_run_name="compare {config_file}", persist_result=False)
def compare(config_file: str, a: str = "", b: str = "") -> MixDifference:
    """Compare two published mixtures: leaves, weights, settings, tasks, evidence.

    Args:
        config_file: Path of the configuration (YAML) on the machine of the worker, for its store and its name.
        a: NAME@VERSION, a NAME, or a VERSION of the file's mix. If left empty: the version before `b`, or `b` itself
            if it is the first.
        b: The same, to compare with. If left empty: the latest version.

    Returns:
        The difference.
    """
    config = load_config(config_file)
    store = Store(config.store)

    def record(reference: str) -> MixRecord:
        is_version = reference.startswith("v") and reference[1:].isdigit()
        return find_record(store, f"{config.name}@{reference}" if is_version else reference or config.name)

    new = record(b)
    old = record(a) if a else read_mix(store, new.name, new.parent or new.version)
    difference = differences(old, new)
    title = f"{difference.a.name} and {difference.b.name}"
    publish_markdown(f"compare-{new.name}", difference_markdown(difference), title)
    return difference
