"""Prefect's settings for runs from the command line: no telemetry, no log noise; the user's own settings win.

Has to be called before Prefect is imported.
"""

import os

PRIVATE = {
    # Nothing is told to anyone unless the user asks for it.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # The interface in its second version asks an outside host from the browser.
    "PREFECT_SERVER_UI_V2_ENABLED": "false",
}
RECORDING = {
    # A server puts task runs on record one event at a time. A thousand proxies make more events than that, and what
    # its queue has no room for is missing in the UI.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",  # seconds until the UI shows the last ones
}
DEFAULTS = {
    **PRIVATE,
    **RECORDING,
    # Errors are told once, by the command line; Prefect's logs stay with the run, in its database.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    # The first start of a machine migrates a database, which may take longer than Prefect's 20 s.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}


def prepare() -> None:
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
