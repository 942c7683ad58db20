"""The Prefect server of a run: the one that PREFECT_API_URL names, or a temporary one that the run starts.

It is asked once before the run, so that a wrong address, or a server that does not start, is one message.
"""

from urllib.parse import urlsplit

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)

from flows.execution.prefect_settings import API_URL as _URL
from flows.execution.prefect_settings import SERVER_EXPECTED as _EXPECTED
from olmix_core.errors import ConfigError

_SECONDS = 15.0  # to wait for an answer
_CREDENTIALS = "PREFECT_API_AUTH_STRING=USER:PASSWORD as on the server, or PREFECT_API_KEY for Prefect Cloud"


def check_server() -> None:
    """Ask the configured Prefect server for something that needs the credentials of this process.

    Without a configured one, start the temporary server.

    Raises:
        ConfigError: If the address is no URL, the server does not answer as a Prefect server, or the temporary server
            does not start in time.
    """
    url = PREFECT_API_URL.value()
    if not url:
        _start_temporary_server()
        return
    name = _without_password(url)
    try:
        once = temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0})
        with once, get_client(httpx_settings={"timeout": _SECONDS}, sync_client=True) as client:
            client.request("POST", "/flows/filter", json={"limit": 1}).json()
    except PrefectHTTPStatusError as error:
        raise _refused(name, error.response.status_code) from error
    except httpx.TimeoutException as error:
        found = f"{name}, which did not answer within {_SECONDS:.0f} s"
        raise ConfigError("environment", _URL, found, _EXPECTED) from error
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise ConfigError("environment", _URL, f"{name}, which is no URL", _EXPECTED) from error
    except httpx.HTTPError as error:
        found = f"{name}, which does not answer ({error or type(error).__name__})"
        raise ConfigError("environment", _URL, found, _EXPECTED) from error
    except (ValueError, RuntimeError) as error:  # another page; the client's own check of the address
        found = f"{name}, which does not answer as a Prefect server"
        raise ConfigError("environment", _URL, found, _EXPECTED) from error


def _start_temporary_server() -> None:
    """Start the server that Prefect's clients in this process share; it ends with the process."""
    limit = PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS
    try:
        get_client(sync_client=True)
    except (RuntimeError, httpx.HTTPError) as error:
        found = f"{limit.value()} seconds, in which the temporary Prefect server did not start"
        expected = "more seconds where the machine is busy, or PREFECT_API_URL with the address of a running server"
        raise ConfigError("environment", limit.name, found, expected) from error


def _refused(name: str, status: int) -> ConfigError:
    """The error for an answer with a status of 400 or more."""
    if status in (401, 403):
        return ConfigError("environment", _URL, f"{name}, which refuses these credentials ({status})", _CREDENTIALS)
    if status >= 500:
        return ConfigError(
            "environment", _URL, f"{name}, which answers with an error of its own ({status})", "a server that is up"
        )
    return ConfigError("environment", _URL, f"{name}, where there is no Prefect API ({status})", _EXPECTED)


def _without_password(url: str) -> str:
    """An address for messages."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
