"""The Prefect server of PREFECT_API_URL: what is wrong with it is one message, and credentials are sent."""

import base64
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from flows.execution import prefect_server, prefect_settings
from flows.execution.prefect_server import check_server
from olmix_core.errors import ConfigError

EXPECTED = "the address of a Prefect server, such as http://HOST:4200/api; or unset it, and each run starts a server"
CREDENTIALS = "PREFECT_API_AUTH_STRING=USER:PASSWORD as on the server, or PREFECT_API_KEY for Prefect Cloud"


class Answers(BaseHTTPRequestHandler):
    """Answers with the status in the path; `auth` wants a password, `page` is HTML, and `slow` takes long."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind, body = self.path.split("/")[1], b"[]"
        status = int(kind) if kind.isdigit() else 200
        if kind == "auth":
            expected = "Basic " + base64.b64encode(b"me:secret").decode()
            status = 200 if self.headers.get("Authorization") == expected else 401
        if kind == "page":
            body = b"<html>"
        if kind == "slow":
            time.sleep(2)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """Prefect's client asks for a token first."""
        body = b'{"token": "t", "client": "c", "expiration": "2100-01-01T00:00:00Z"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()


def complaint(url: str) -> str:
    with temporary_settings({PREFECT_API_URL: url}), pytest.raises(ConfigError) as caught:
        check_server()
    return str(caught.value)


@pytest.mark.parametrize(
    ("path", "found", "expected"),
    [
        ("401", "which refuses these credentials (401)", CREDENTIALS),
        ("403", "which refuses these credentials (403)", CREDENTIALS),
        ("404", "where there is no Prefect API (404)", EXPECTED),
        ("405", "where there is no Prefect API (405)", EXPECTED),
        ("500", "which answers with an error of its own (500)", "a server that is up"),
        ("503", "which answers with an error of its own (503)", "a server that is up"),
        ("page", "which does not answer as a Prefect server", EXPECTED),
    ],
)
def test_answers_that_are_no_servers(server: str, path: str, found: str, expected: str) -> None:
    url = f"{server}/{path}"
    assert complaint(url) == f"environment: PREFECT_API_URL: found {url}, {found}; expected {expected}"


def test_addresses_where_nothing_answers(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://127.0.0.1:9/api"
    refused = f"found {url}, which does not answer ([Errno 111] Connection refused); expected {EXPECTED}"
    assert complaint(url) == f"environment: PREFECT_API_URL: {refused}"
    assert "found http://nowhere.invalid/api, which does not answer (" in complaint("http://nowhere.invalid/api")
    assert "found https://127.0.0.1" in complaint(server.replace("http:", "https:") + "/200")
    monkeypatch.setattr(prefect_server, "_SECONDS", 0.2)
    assert f"found {server}/slow, which did not answer within" in complaint(f"{server}/slow")


def test_passwords_in_addresses_are_not_printed() -> None:
    message = complaint("http://me:secret@127.0.0.1:9/api")
    assert "found http://127.0.0.1:9/api, which does not answer" in message
    assert "secret" not in message


@pytest.mark.parametrize("url", ["localhost", "ftp://host/api", "http://", "http://[bad/api", "http://host:99999/api"])
def test_what_is_no_url_is_told_before_prefect_is_imported(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", url)
    with pytest.raises(ConfigError) as caught:
        prefect_settings.prepare()
    assert str(caught.value) == f"environment: PREFECT_API_URL: found {url}, which is no URL; expected {EXPECTED}"


def test_what_is_no_url_in_a_profile_is_told_too() -> None:
    assert complaint("localhost") == (
        f"environment: PREFECT_API_URL: found localhost, which is no URL; expected {EXPECTED}"
    )


def test_the_password_of_the_server_is_sent(server: str) -> None:
    url = f"{server}/auth"
    assert "refuses these credentials (401)" in complaint(url)
    with temporary_settings({PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: "me:secret"}):
        check_server()


def test_servers_that_answer_and_none_at_all_pass(server: str) -> None:
    for url in (f"{server}/200", None):
        with temporary_settings({PREFECT_API_URL: url}):
            check_server()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/api", pytest.param("localhost", marks=pytest.mark.long)])
@pytest.mark.long
def test_a_run_ends_with_one_line_and_status_1(url: str, project: Callable[..., Path]) -> None:
    command = [sys.executable, "-c", "from flows.cli.app import main; main()", "run", str(project())]
    run = subprocess.run(
        command, env={**os.environ, "PREFECT_API_URL": url}, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert run.stderr.startswith(f"error environment: PREFECT_API_URL: found {url}, which ")


def test_a_temporary_server_that_does_not_start_in_time_is_told(tmp_path: Path) -> None:
    late = {"PREFECT_HOME": str(tmp_path), "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "1"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | late
    script = "from flows.execution.prefect_server import check_server; check_server()"
    told = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert told.returncode == 1
    last = told.stderr.strip().splitlines()[-1]
    assert "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: found 1 seconds, in which the temporary" in last
    assert "PREFECT_API_URL with the address of a running server" in last
