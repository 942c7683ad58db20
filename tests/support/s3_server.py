"""S3 servers on 127.0.0.1 for tests and benchmarks, installed by `make` into `.servers`, apart from the project.

    S3Server   OpenStack Swift with its s3api: checks signatures, keeps what it has when it is killed. Four processes
    moto()     knows If-Match too, and is quick to fill; holds all in memory, and lets everybody in

    with S3Server(folder, secret) as server:   server.environment: what a client needs, keys and endpoint
        server.kill(); server.start()          the same address and the same objects again
        server.requests()                      what was asked since the last call

They end with the thread that started them.
"""

import ctypes
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import unquote

BIN = Path(__file__).parents[2] / ".servers/bin"
KEY, READER = "lab:mixer", "lab:reader"  # an account and a user of it; the second may write nothing
PORTS = ("proxy", "account", "container", "object")
DEADLINE = 300  # seconds to start in

COMMON = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
fallocate_reserve = 0
user = {user}
"""
STORAGE = """
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
PROXY = """
[pipeline:main]
pipeline = catch_errors proxy-logging s3api tempauth bulk slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
node_timeout = 60
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:proxy-logging]
use = egg:swift#proxy_logging
log_msg_template = request {{method}} {{path}} {{status_int}} {{bytes_sent}}
[filter:s3api]
use = egg:swift#s3api
force_swift_request_proxy_log = false
[filter:tempauth]
use = egg:swift#tempauth
user_lab_mixer = {secret} .admin
user_lab_reader = {secret}
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
"""
SWIFT = """
[swift-hash]
swift_hash_path_suffix = test
[storage-policy:0]
name = only
default = yes
"""
RINGS = """
import sys
from swift.common.ring import RingBuilder
folder, *ports = sys.argv[1:]
for kind, port in zip(("account", "container", "object"), ports):
    builder = RingBuilder(4, 1, 1)
    where = {"ip": "127.0.0.1", "port": int(port), "device": "one", "region": 1, "zone": 1, "weight": 1, "meta": ""}
    builder.add_dev(where)
    builder.rebalance()
    builder.get_ring().save(f"{folder}/{kind}.ring.gz")
"""
REQUEST = re.compile(r"request (\w+) (\S+) (\d+) (\d+|-)")


class Request(NamedTuple):
    """A line of the access log; `size` is in bytes of the body that was sent back."""

    method: str
    path: str
    status: int
    size: int


class S3Server:
    """The server, its objects in `folder`. Raises RuntimeError where it does not start."""

    def __init__(self, folder: Path, secret: str) -> None:
        if not (BIN / "swift-proxy-server").exists():
            raise RuntimeError("found no S3 server in .servers; expected the one that `make .servers` installs")
        self.folder, self.secret = folder, secret
        self.ports = dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))
        self.endpoint = f"http://127.0.0.1:{self.ports['proxy']}"
        self._running: list[subprocess.Popen[bytes]] = []
        self._read = 0
        self._configure()

    @property
    def environment(self) -> dict[str, str]:
        return client(KEY, self.secret, self.endpoint)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self._running = [
                subprocess.Popen(
                    [BIN / f"swift-{kind}-server", self.folder / f"{kind}.conf", "--verbose"],
                    stdout=log,
                    stderr=log,
                    env=_without_credentials(os.environ),
                    preexec_fn=_end_with_parent,
                )
                for kind in PORTS
            ]
        deadline = time.monotonic() + DEADLINE
        while not self._answers():
            if time.monotonic() > deadline or any(process.poll() is not None for process in self._running):
                self.kill()
                raise RuntimeError(f"the S3 server did not start: {(self.folder / 'server.log').read_text()[-3000:]}")
            time.sleep(0.2)

    def kill(self) -> None:
        """Stop it at once, in the middle of whatever it does."""
        for process in self._running:
            process.kill()
            process.wait()
        self._running = []

    def make_bucket(self, name: str) -> None:
        from olmix_core.storage import s3

        s3.filesystem().call_s3("create_bucket", Bucket=name)

    def requests(self) -> Sequence[Request]:
        """What was asked since the last call."""
        with (self.folder / "server.log").open("rb") as log:
            log.seek(self._read)
            lines = log.read()
        self._read += len(lines)
        found = [
            Request(method, unquote(path), int(status), int(size) if size != "-" else 0)
            for method, path, status, size in REQUEST.findall(lines.decode(errors="replace"))
        ]
        return [one for one in found if not one.path.startswith("/v1/")]  # what Swift asks itself

    def _configure(self) -> None:
        (self.folder / "devices/one").mkdir(parents=True)
        (self.folder / "swift.conf").write_text(SWIFT)
        user = Path(self.folder).owner()
        for kind, port in self.ports.items():
            parts = COMMON + (PROXY if kind == "proxy" else STORAGE)
            words = {"port": port, "folder": self.folder, "user": user, "kind": kind, "secret": self.secret}
            (self.folder / f"{kind}.conf").write_text(parts.format(**words))
        ports = [str(self.ports[kind]) for kind in PORTS[1:]]
        subprocess.run([BIN / "python", "-c", RINGS, str(self.folder), *ports], check=True, capture_output=True)

    def _answers(self) -> bool:
        try:
            for port in self.ports.values():
                with socket.create_connection(("127.0.0.1", port), timeout=1):
                    pass
        except OSError:
            return False
        return _answers(self.endpoint)


@contextmanager
def moto(folder: Path) -> Iterator[dict[str, str]]:
    """The environment for a client. The access log is `folder`/moto.log. Raises RuntimeError."""
    port = _free_ports(1)[0]
    endpoint = f"http://127.0.0.1:{port}"
    with (folder / "moto.log").open("wb") as log:
        command: list[Path | str] = [BIN / "moto_server", "-H", "127.0.0.1", "-p", str(port)]
        running = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=_end_with_parent)
        try:
            deadline = time.monotonic() + DEADLINE
            while not _answers(endpoint):
                if time.monotonic() > deadline or running.poll() is not None:
                    raise RuntimeError(f"moto did not start: {(folder / 'moto.log').read_text()[-3000:]}")
                time.sleep(0.2)
            yield client("key", "secret", endpoint)
        finally:
            running.kill()
            running.wait()


def client(key: str, secret: str, endpoint: str) -> dict[str, str]:
    """The environment of a client."""
    return {
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _answers(endpoint: str) -> bool:
    try:
        urllib.request.urlopen(endpoint, timeout=5)
    except urllib.error.HTTPError:
        return True  # it refuses us, so it is there
    except OSError:
        return False
    return True


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _without_credentials(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(("AWS_", "PYTHONPATH"))}


def _end_with_parent() -> None:
    """Linux: no server outlives the tests, however they end."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
