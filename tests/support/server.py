"""A Prefect server for a benchmark: in a folder of its own, on a free port of this machine, ended with it."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from flows.execution import prefect_settings as environment

START_SECONDS = 120


class Server:
    """The server; the environment of this process points to it from then on."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.home = home
        os.environ |= {
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": f"http://127.0.0.1:{self.port}/api",
            **environment.PRIVATE,
            **environment.RECORDING,
        }

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        prefect = str(Path(sys.executable).with_name("prefect"))
        command = [prefect, "server", "start", "--host", "127.0.0.1", "--port", str(self.port), "--no-ui"]
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.2)
        self.kill()
        sys.exit(f"the Prefect server did not start: see {self.home / 'server.log'}")

    def kill(self) -> None:
        """End it at once, as if the machine had lost it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
