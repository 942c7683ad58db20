"""One run of a mix at a time, whichever deployment or machine starts it.

Two at once would train the same proxies twice. Each name of a mix has a concurrency limit of one on the Prefect server,
held as a lease: a run that is killed releases it when its lease expires.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from prefect import get_client
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists
from prefect.logging import get_run_logger

LEASE_SECONDS = 60.0  # the shortest that Prefect grants


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Wait until no other run of a mix is running, and keep others waiting during the block.

    Args:
        name: Name of the mix.

    Yields:
        Nothing; the limit is held within the block.
    """
    limit = f"olmix-{name}"
    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
        client.upsert_global_concurrency_limit_by_name(limit, 1)
    logger = get_run_logger()
    logger.info("mix=%s: waiting for the limit %r: one run of a mix at a time", name, limit)
    with concurrency(limit, lease_duration=LEASE_SECONDS, strict=True, raise_on_lease_renewal_failure=False):
        logger.info("mix=%s: no other run is under way", name)
        yield
