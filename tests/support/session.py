"""What the processes of one test session share: a folder, locks in it, and one Prefect server.

The process that starts the others makes the folder before they begin and removes it after they have ended.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.server import Server

VARIABLE = "OLMIX_TEST_SESSION"
# Ends the process group $1 once the process $0 has ended, however that came about.
GUARD = 'while kill -0 "$0" 2>/dev/null; do sleep 1; done; kill -9 -- "-$1"'


def begin() -> None:
    """Make the folder, unless this process was started by one that did."""
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = tempfile.mkdtemp(prefix="olmix-tests-")
        (folder() / "pid").write_text(str(os.getpid()))


def folder() -> Path:
    """The folder of the session."""
    return Path(os.environ[VARIABLE])


def end() -> None:
    """End the server and remove the folder; for the process that began the session."""
    with suppress(FileNotFoundError, ProcessLookupError):
        os.killpg(int((folder() / "server/pid").read_text()), signal.SIGKILL)
    shutil.rmtree(folder(), ignore_errors=True)
    del os.environ[VARIABLE]


@contextmanager
def locked(name: str) -> Iterator[Path]:
    """The subfolder `name` of the session, for one process at a time."""
    subfolder = folder() / name
    subfolder.mkdir(parents=True, exist_ok=True)
    with (folder() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield subfolder


def server_address() -> str:
    """The API of the session's Prefect server, which the first call starts."""
    with locked("server") as home:
        address = home / "address"
        if not address.exists():
            server = Server(home)
            server.start()
            (home / "pid").write_text(str(server.process.pid))
            guard = ["/bin/sh", "-c", GUARD, (folder() / "pid").read_text(), str(server.process.pid)]
            subprocess.Popen(guard, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
            address.write_text(server.address)
        return address.read_text()
