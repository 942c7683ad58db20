"""Shared by the tests of whole programs: an environment of their own, Prefect servers, PostgreSQL, a browser."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.running_server import PREFECT, ROOT, Server
from tests.support.s3_server import S3Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LOCAL = [sys.executable, str(ROOT / "deployments/local.py")]  # what make up and make down run
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


@pytest.fixture(scope="session")
def run(run_flow: Callable[[Path], object]) -> Callable[[Path], object]:
    """Whole programs go through the flow and Prefect's engine."""
    return run_flow


@contextmanager
def at_the_end(*command: object) -> Iterator[None]:
    """Run a command at the end, also where the tests are killed: a process waits for the end of its input."""
    guard = subprocess.Popen(
        ["/bin/sh", "-c", 'cat; exec "$@"', "guard", *map(str, command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert guard.stdin is not None
    try:
        yield
    finally:
        guard.stdin.close()
        guard.wait(timeout=120)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prefect's home, new and shared by the tests of this file."""
    return tmp_path_factory.mktemp("prefect")


def own_environment(home: Path, cache: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**kept, "PREFECT_HOME": str(home), "OLMIX_CACHE_DIR": str(cache), "COLUMNS": "100"}


@pytest.fixture
def environment(home: Path, tmp_path: Path) -> dict[str, str]:
    return own_environment(home, tmp_path / "cache")


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Prefect server of this file, without a worker; its folder is Prefect's home of the server."""
    port, folder = free_port(), tmp_path_factory.mktemp("server")
    url = f"http://127.0.0.1:{port}/api"
    environment = own_environment(folder, folder / "cache")
    settings = {
        **environment,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
        "PREFECT_SERVER_UI_API_URL": url,
    }
    log = folder / "server.log"
    with log.open("w") as output:
        running = subprocess.Popen(
            [PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            env=settings,
            stdout=output,
            stderr=output,
        )
    with at_the_end("kill", running.pid):
        deadline = time.monotonic() + 600  # the machine may be busy
        while running.poll() is None and time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5)
                break
            except OSError:
                time.sleep(0.5)
        else:
            pytest.fail(log.read_text())
        yield Server(url, environment, folder)
    running.wait(timeout=30)


@pytest.fixture
def server(own_server: Server, environment: dict[str, str]) -> Server:
    """The server of this file, and the environment of the test that speaks to it."""
    return Server(own_server.url, {**environment, "PREFECT_API_URL": own_server.url}, own_server.folder)


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL of its own, from Debian's package; its URL for Prefect."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    assert programs, "found no PostgreSQL; make test-e2e installs it"
    # It refuses to run as root.
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="olmix-postgresql-"))
    if user:
        shutil.chown(folder, "postgres")
    port, data = free_port(), folder / "data"

    def run(program: str, *words: object) -> None:
        command = [*user, str(programs[-1] / program), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr

    try:
        run("initdb", "-D", data, "--auth", "trust", "--username", "prefect", "--no-sync")
        with at_the_end(*user, programs[-1] / "pg_ctl", "stop", "-D", data, "--mode", "immediate"):
            options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"
            # Its output must not be a pipe that is waited for.
            run("pg_ctl", "start", "-D", data, "-w", "-l", folder / "log", "-o", options)
            run("createdb", "-h", "127.0.0.1", "-p", port, "-U", "prefect", "prefect")
            yield f"postgresql+asyncpg://prefect@127.0.0.1:{port}/prefect"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def local(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Server, worker and deployments as make up starts them; the parameter is the database, sqlite or postgresql."""
    folder = tmp_path_factory.mktemp("local")
    settings = {
        **own_environment(folder / "client", folder / "cache"),
        "OLMIX_SERVER_FOLDER": str(folder / "server"),
        "PREFECT_WORKER_QUERY_SECONDS": "2",  # by default 10
    }

    def started() -> Server:
        with socket.socket() as taken:
            with suppress(OSError):  # or somebody else has it
                taken.bind(("127.0.0.1", 4200))
                taken.listen()
            done = subprocess.run(
                [*LOCAL, "up"], env=settings, capture_output=True, text=True, timeout=580, check=False
            )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "port 4200 is taken; taking 4" in done.stdout
        url = f"http://127.0.0.1:{(folder / 'server/port').read_text()}/api"
        assert f"export PREFECT_API_URL={url}" in done.stdout
        return Server(url, {**settings, "PREFECT_API_URL": url}, folder / "server", started)

    # From the outside to the inside: the database is there for as long as the server.
    if request.param == "postgresql":
        with postgresql() as url:
            settings["PREFECT_API_DATABASE_CONNECTION_URL"] = url
            with at_the_end("env", f"OLMIX_SERVER_FOLDER={folder / 'server'}", *LOCAL, "down"):
                yield started()
        assert not (folder / "server/prefect.db").exists()
    else:
        with at_the_end("env", f"OLMIX_SERVER_FOLDER={folder / 'server'}", *LOCAL, "down"):
            yield started()


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
