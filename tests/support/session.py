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
# Starts the command "$@" in the background, and prints the process group that it is in. The group ends once the process
# $SESSION has ended, however that came about.
BACKGROUND = """
"$@" >>"$LOG" 2>&1 </dev/null &
(while kill -0 "$SESSION" 2>/dev/null; do sleep 1; done; kill -9 -- "-$$") >/dev/null 2>&1 </dev/null &
echo $$
"""


def begin() -> None:
    """Make the folder, in the process that starts the others."""
    os.environ[VARIABLE] = tempfile.mkdtemp(prefix="olmix-tests-")
    (folder() / "pid").write_text(str(os.getpid()))


def folder() -> Path:
    """The folder of the session."""
    return Path(os.environ[VARIABLE])


def end() -> None:
    """End the server and remove the folder, in the process that began the session."""
    with suppress(FileNotFoundError, ProcessLookupError):
        os.killpg(int((folder() / "server/group").read_text()), signal.SIGKILL)
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
            session = {"SESSION": (folder() / "pid").read_text(), "LOG": str(server.log)}
            started = subprocess.run(
                ["/bin/sh", "-c", BACKGROUND, "sh", *server.command],
                env={**os.environ, **server.environment, **session},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
                start_new_session=True,
            )
            (home / "group").write_text(started.stdout)
            assert server.answers(), server.log.read_text()
            address.write_text(server.address)
        return address.read_text()
