"""Shared by the tests of whole programs: an environment of their own, a Prefect server, a browser."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests/e2e")]

from s3_server import S3Server  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PREFECT = str(Path(sys.executable).with_name("prefect"))
# What keeps a browser in a container quiet.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prefect's home, new and shared by the tests of this file."""
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture
def environment(home: Path, tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**kept, "PREFECT_HOME": str(home), "OLMIX_CACHE_DIR": str(tmp_path / "cache"), "COLUMNS": "100"}


@pytest.fixture
def server(tmp_path: Path, environment: dict[str, str]) -> Iterator[str]:
    """A Prefect server of its own on 127.0.0.1; its API's address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    settings = {
        **environment,
        "PREFECT_HOME": str(tmp_path / "home"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
        "PREFECT_SERVER_UI_API_URL": url,
    }
    log = (tmp_path / "server.log").open("w")
    running = subprocess.Popen(
        [PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)], env=settings, stdout=log, stderr=log
    )
    try:
        deadline = time.monotonic() + 600  # the machine may be busy
        while running.poll() is None and time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5)
                break
            except OSError:
                time.sleep(0.5)
        else:
            pytest.fail((tmp_path / "server.log").read_text())
        yield url
    finally:
        running.terminate()
        running.wait(timeout=30)
        log.close()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator["S3Server"]:
    """An S3 server with a secret of its own."""
    with S3Server(tmp_path_factory.mktemp("s3"), secrets.token_hex(20)) as running:
        yield running


@pytest.fixture
def s3(s3_server: "S3Server", monkeypatch: pytest.MonkeyPatch) -> "S3Server":
    """The same, with the environment set to use it."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture
def bucket(s3: "S3Server") -> str:
    """A new bucket."""
    name = f"b{secrets.token_hex(6)}"
    s3.make_bucket(name)
    return name


@pytest.fixture
def start_browser() -> Iterator[Callable[[], "Browser"]]:
    """Starts the browser when it is called: Prefect does not run beside the loop that drives one."""
    from contextlib import ExitStack

    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "found no Chromium; make test-e2e installs it"
    with ExitStack() as stack:

        def start() -> "Browser":
            playwright = stack.enter_context(sync_playwright())
            started = playwright.chromium.launch(executable_path=found, args=FLAGS)
            stack.callback(started.close)
            return started

        yield start
