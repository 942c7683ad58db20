"""A Prefect server that runs, and the programs that speak to it."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PREFECT = str(Path(sys.executable).with_name("prefect"))


@dataclass(frozen=True)
class Server:
    """A Prefect server on 127.0.0.1, and the environment in which programs speak to it."""

    url: str
    environment: dict[str, str]
    folder: Path | None = None  # of what deployments/local.py started, and how it is started again
    start: "Callable[[], Server] | None" = None

    @property
    def ui(self) -> str:
        return self.url.removesuffix("/api")

    def ask(self, path: str, **body: Any) -> Any:
        """What the API answers to a POST of an object."""
        return self.post(path, body)

    def post(self, path: str, body: Any, attempts: int = 4) -> Any:
        """What the API answers to a POST. A busy server (503) is asked again, as Prefect's own client does."""
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/{path}", json.dumps(body).encode(), headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 503 or attempts == 1:
                raise
        time.sleep(3)
        return self.post(path, body, attempts - 1)

    def prefect(self, *words: str) -> str:
        done = subprocess.run(
            [PREFECT, *words], env=self.environment, capture_output=True, text=True, timeout=240, check=False, cwd=ROOT
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
