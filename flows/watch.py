"""The flow that looks whether the data of a mix changed, and says so with an event; for a schedule.

It lists files and takes their content hashes, most of which are remembered, so it takes seconds. Nothing is computed
here: who hears the event (the deployment `update-on-change`) does that.
"""

from typing import Any

from prefect import flow
from prefect.events import emit_event
from prefect.events.worker import EventsWorker
from prefect.logging import get_run_logger

from olmix_core.config.load import load_config
from olmix_core.data.domains import read_domains
from olmix_core.errors import StoreError
from olmix_core.mixes.watch import observe, remember
from olmix_core.storage.content_index import ContentIndex
from olmix_core.storage.store import Store

EVENT = "olmix.domain-set.changed"
HOURS = 1.0  # then it is stopped; content hashes up to then are kept


@flow(name="watch", flow_run_name="watch {config_file}", persist_result=False, timeout_seconds=HOURS * 3600)
def watch(config_file: str, again: bool = False) -> dict[str, Any]:
    """Compare the data of a configuration with the last version of its mix; emit an event when it changed.

    A change is told once, also while the run that deals with it is under way.

    Args:
        config_file: Path of the configuration (YAML) on the machine of the worker.
        again: Tell a change that was told before, for one whose run failed.
    """
    config, logger = load_config(config_file), get_run_logger()
    store = Store(config.store)
    index = ContentIndex()
    try:
        observed = observe(store, config.name, read_domains(config, config_file, index))
    finally:
        index.close()
    words = ", ".join(f"{leaf.domain} {leaf.change}" for leaf in observed.changes)
    if observed.since is None:
        logger.info("mix=%s: no version yet, so nothing to compare with; run the deployment `mix` first", config.name)
    elif not observed.changes:
        logger.info("mix=%s: the data is that of %s", config.name, observed.since)
    elif not observed.is_news and not again:
        logger.info("mix=%s: since %s: %s; told at %s", config.name, observed.since, words, observed.told)
    else:
        emitted = emit_event(
            EVENT,
            resource={"prefect.resource.id": f"olmix.mix.{config.name}", "prefect.resource.name": config.name},
            payload={"mix": config.name, "config_file": config_file, "store": config.store, **observed.to_json()},
        )
        if emitted is None:
            raise StoreError("the event could not be emitted; expected a Prefect server: set PREFECT_API_URL")
        # Told before it is remembered: a run that is killed in between tells it twice rather than never.
        EventsWorker.instance().wait_until_empty()
        remember(store, config.name, observed)
        logger.info("mix=%s: since %s: %s; told now", config.name, observed.since, words)
    return observed.to_json()
