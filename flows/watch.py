"""The flow that checks whether the data of a mix changed, and emits an event if so; for a schedule.

It lists files and takes their content hashes, most of which are remembered, so it takes seconds. No step is executed
here: the event starts the deployment `update-on-change`.
"""

from prefect import flow
from prefect.events import emit_event
from prefect.events.worker import EventsWorker
from prefect.logging import get_run_logger

from olmix_core.config.load import load_config
from olmix_core.data.domains import read_domains
from olmix_core.errors import StoreError
from olmix_core.mixes.watch import Observed, observe, remember
from olmix_core.storage.content_index import ContentIndex
from olmix_core.storage.store import Store

EVENT = "olmix.domain-set.changed"
MAX_HOURS = 1.0  # then it is stopped; content hashes computed so far are kept


@flow(name="watch", flow_run_name="watch {config_file}", persist_result=False, timeout_seconds=MAX_HOURS * 3600)
def watch(config_file: str, again: bool = False) -> Observed:
    """Compare the data of a configuration with the last version of its mix; emit an event if it changed.

    A change is reported once, even if the run that it starts has not ended.

    Args:
        config_file: Path of the configuration (YAML) on the machine of the worker.
        again: Report a change again, for example because its run failed.

    Returns:
        The version compared with, the change, and when it was reported before.

    Raises:
        ConfigError: The configuration or its data cannot be read.
        StoreError: The store cannot be read or written.
    """
    config, logger = load_config(config_file), get_run_logger()
    store = Store(config.store)
    index = ContentIndex()
    try:
        observed = observe(store, config.name, read_domains(config, config_file, index))
    finally:
        index.close()
    summary = ", ".join(f"{leaf.domain} {leaf.change}" for leaf in observed.changes)
    if observed.since is None:
        logger.info("mix=%s: no version yet, so nothing to compare with; run the deployment `mix` first", config.name)
    elif not observed.changes:
        logger.info("mix=%s: the data is that of %s", config.name, observed.since)
    elif not observed.is_news and not again:
        logger.info("mix=%s: since %s: %s; told at %s", config.name, observed.since, summary, observed.reported)
    else:
        emitted = emit_event(
            EVENT,
            resource={"prefect.resource.id": f"olmix.mix.{config.name}", "prefect.resource.name": config.name},
            payload={"mix": config.name, "config_file": config_file, "store": config.store, **observed.to_json()},
        )
        if emitted is None:
            raise StoreError("the event could not be emitted; expected a Prefect server: set PREFECT_API_URL")
        # Emitted before it is remembered: a run that is killed in between reports it twice rather than never.
        EventsWorker.instance().wait_until_empty()
        remember(store, config.name, observed)
        logger.info("mix=%s: since %s: %s; told now", config.name, observed.since, summary)
    return observed
