"""Prefect's settings for runs from the command line: no telemetry, no log noise. The user's own settings win."""

import os
from urllib.parse import urlsplit

from olmix_core.errors import ConfigError

API_URL = "PREFECT_API_URL"
SERVER_EXPECTED = (
    "the address of a Prefect server, such as http://HOST:4200/api; or unset it, and each run starts a server"
)
PRIVATE = {
    # No telemetry unless the user enables it.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # The second version of the interface contacts an outside host from the browser.
    "PREFECT_SERVER_UI_V2_ENABLED": "false",
}
RECORDING = {
    # By default a server records task runs one event at a time. A thousand proxies emit more events than its queue
    # holds, and the rest would be missing in the UI.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",  # seconds until the UI shows the last ones
}
DEFAULTS = {
    **PRIVATE,
    **RECORDING,
    # The command line prints errors once; Prefect's logs stay in its database, with the run.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    # The first start on a machine migrates a database. On a busy machine that takes minutes; Prefect's default is 20 s.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",
}


def prepare() -> None:
    """Set the defaults in the environment. Has to be called before Prefect is imported.

    Raises:
        ConfigError: If PREFECT_API_URL is no URL, at which Prefect could not even be imported.
    """
    _check_url(os.environ.get(API_URL, ""))
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = not url or (parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0)
    except ValueError:  # brackets that do not match, a port that is no number or out of range
        usable = False
    if not usable:
        raise ConfigError("environment", API_URL, f"{url.rpartition('@')[2]}, which is no URL", SERVER_EXPECTED)
