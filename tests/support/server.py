"""A Prefect server for tests and benchmarks: in a folder of its own, on a free port of this machine."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from flows.execution import prefect_settings

START_SECONDS = 120


class Server:
    """The server, with its database and log in the folder `home`."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.home = home
        self.address = f"http://127.0.0.1:{self.port}/api"
        self.environment = {
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": self.address,
            **prefect_settings.PRIVATE,
            **prefect_settings.RECORDING,
        }

    def __enter__(self) -> Self:
        """Start it; from then on the environment of this process points to it."""
        os.environ |= self.environment
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def command(self) -> list[str]:
        """What runs the server."""
        prefect = str(Path(sys.executable).with_name("prefect"))
        return [prefect, "server", "start", "--host", "127.0.0.1", "--port", str(self.port), "--no-ui"]

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    def start(self) -> None:
        """Start the process and wait until it answers."""
        environment = {**os.environ, **self.environment}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        if not self.answers():
            self.kill()
            sys.exit(f"the Prefect server did not start: see {self.log}")

    def answers(self) -> bool:
        """Wait until the server answers, for as long as it may take to start; whether it does."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return True
            time.sleep(0.2)
        return False

    def kill(self) -> None:
        """End it at once, as if the machine had lost it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
